package cli

import (
	"github.com/spf13/pflag"

	"github.com/loopkey/loopkey/internal/config"
)

// configFlags adds the flags of the configuration, which every command takes.
func (a *app) configFlags(flags *pflag.FlagSet) {
	flags.SortFlags = false
	for _, f := range config.Flags() {
		flags.VarP(&configFlag{Flag: f, given: a.flags}, f.Name, f.Short, f.Usage)
	}
}

// paramFlag adds --param, for the commands that make authorization requests.
func (a *app) paramFlag(flags *pflag.FlagSet) {
	flags.StringArrayVar(&a.params, "param", nil,
		"a further authorization parameter, `NAME=VALUE`, such as access_type=offline; may be repeated")
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
