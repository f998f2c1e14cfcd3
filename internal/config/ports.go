package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/loopkey/loopkey/internal/localurl"
)

// portSetting is the name of the setting of the local server's ports.
const portSetting = "port"

// mostPorts limits the callback ports: each is bound, and a running loopkey asked at each.
const mostPorts = 20

var errPorts = errors.New("is no port, or list of ports, such as 3000,3001")

// portsOf returns the ports of a list such as "3000,3001".
func portsOf(text string) ([]int, error) {
	var ports []int
	for part := range strings.SplitSeq(text, ",") {
		port, err := strconv.ParseUint(strings.TrimSpace(part), 10, 16)
		if err != nil {
			return nil, errPorts
		}
		if slices.Contains(ports, int(port)) {
			return nil, fmt.Errorf("has %d twice", port)
		}
		ports = append(ports, int(port))
	}
	if len(ports) > mostPorts {
		return nil, fmt.Errorf("has more than %d ports", mostPorts)
	}
	return ports, nil
}

// portsText is the inverse of portsOf; "" where there are no ports.
func portsText(ports []int) string {
	all := make([]string, len(ports))
	for i, port := range ports {
		all[i] = strconv.Itoa(port)
	}
	return strings.Join(all, ",")
}

// PortsTOML returns ports as config.toml writes them.
func PortsTOML(ports []int) string {
	return "[" + strings.ReplaceAll(portsText(ports), ",", ", ") + "]"
}

// portsRead returns what a reader of TOML makes of ports.
func portsRead(text string) any {
	ports, _ := portsOf(text)
	numbers := make([]any, len(ports))
	for i, port := range ports {
		numbers[i] = int64(port)
	}
	return numbers
}

// PortsText returns a list of ports, as TOML gives it, in the form of the flag --port.
func PortsText(written any) (string, error) {
	numbers, ok := written.([]any)
	if !ok {
		numbers = []any{written}
	}
	var ports []int
	for _, n := range numbers {
		port, ok := n.(int64)
		if !ok || port < 0 || port > 65535 {
			return "", errors.New("must be ports in brackets, such as [3000, 3001]")
		}
		ports = append(ports, int(port))
	}
	return portsText(ports), nil
}

func checkPorts(v value) error {
	_, err := portsOf(v.text)
	return err
}

// Ports returns the ports that the local server may have, in the order in which they are tried: the callback ports, or
// the one of the base URL where no source gives others, or a source that counts for more gives the base URL. 0 stands
// for any port that is free.
func (c *Config) Ports() []int {
	base, baseGiven := c.values["base-url"]
	ports, given := c.values[portSetting]
	if !given || baseGiven && base.rank < ports.rank {
		return []int{localurl.BasePort(c.BaseURL)}
	}
	return slices.Clone(c.CallbackPorts)
}

// UsePort gives the base URL a port: the one of Ports that was free.
func (c *Config) UsePort(port int) { c.BaseURL = localurl.WithPort(c.BaseURL, port) }

// firstPort gives the base URL the first of the callback ports, until it is known which one is free.
func (c *Config) firstPort() {
	if port := c.Ports()[0]; port != 0 {
		c.UsePort(port)
	}
}

// anyPortFits reports whether the provider may send the browser to a port that it was not told before. Auth0 compares
// callback URLs to the letter.
func (c *Config) anyPortFits() error {
	if c.Auth0 && slices.Contains(c.Ports(), 0) {
		return c.values[portSetting].refuse("can't have 0 at Auth0, which compares callback URLs to the letter: " +
			"register some ports, and list them")
	}
	return nil
}
