package cli

import (
	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/config"
)

// configFlags adds the flags of the configuration, which every command takes.
func (a *app) configFlags(flags *pflag.FlagSet) {
	flags.SortFlags = false
	for _, f := range config.Flags(false) {
		flags.VarP(&configFlag{Flag: f, given: a.flags}, f.Name, f.Short, f.Usage)
	}
}

// paramFlag adds the flags of the configuration that only commands take which make authorization requests.
func (a *app) paramFlag(flags *pflag.FlagSet) {
	for _, f := range config.Flags(true) {
		flags.VarP(&repeatedFlag{Flag: f, given: &a.params}, f.Name, f.Short, f.Usage)
	}
}

// browserFlags adds the flags of the configuration that only commands take which open a browser.
func (a *app) browserFlags(flags *pflag.FlagSet) {
	for _, f := range config.BrowserFlags() {
		flag := flags.VarPF(&configFlag{Flag: f, given: a.flags}, f.Name, f.Short, f.Usage)
		if f.Value == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
}

// A repeatedFlag notes each of its values.
type repeatedFlag struct {
	config.Flag
	given *[]string
}

// String returns no default.
func (f *repeatedFlag) String() string { return "" }

// Type returns what stands for the value in the help.
func (f *repeatedFlag) Type() string { return f.Value }

// Set notes a value.
func (f *repeatedFlag) Set(value string) error {
	*f.given = append(*f.given, value)
	return nil
}

// A configFlag notes its value only when it is given: the sources below the command line
// have their say only where it is not.
type configFlag struct {
	config.Flag
	given map[string]string // by name
}

var _ pflag.Value = (*configFlag)(nil)

// String returns no default, for another source may set the value.
func (f *configFlag) String() string { return "" }

// Type returns what stands for the value in the help.
func (f *configFlag) Type() string { return f.Value }

// Set notes the value.
func (f *configFlag) Set(value string) error {
	f.given[f.Name] = value
	return nil
}
