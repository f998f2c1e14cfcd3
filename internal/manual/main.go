// Command manual writes what a package of loopkey installs beside the binary: manual pages and shell completions.
//
//	go run ./internal/manual DIR
//
// It writes man1/ (a page for each command), man7/ (a page for each topic of loopkey help) and completions/ under DIR.
// The files of one commit are always the same bytes: their date is $SOURCE_DATE_EPOCH, or that of time zero.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/loopkey/loopkey/internal/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "manual: name the folder to write to")
		os.Exit(2) //nolint:forbidigo // this is a main
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "manual: %v\n", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

// write writes all files under dir.
func write(dir string) error {
	date, err := date()
	if err != nil {
		return err
	}
	man1, man7, completions := filepath.Join(dir, "man1"), filepath.Join(dir, "man7"), filepath.Join(dir, "completions")
	for _, folder := range []string{man1, man7, completions} {
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return err
		}
	}
	root := cli.Commands()
	header := &doc.GenManHeader{Section: "1", Date: &date, Source: "loopkey", Manual: "loopkey"}
	if err := doc.GenManTree(root, header, man1); err != nil {
		return err
	}
	for _, topic := range cli.Topics() {
		if err := os.WriteFile(filepath.Join(man7, "loopkey-"+topic.Name+".7"), page(topic, date), 0o600); err != nil {
			return err
		}
	}
	return complete(root, completions)
}

// page returns the manual page of a topic.
func page(topic cli.Topic, date time.Time) []byte {
	name := "loopkey-" + topic.Name
	_, text, _ := strings.Cut(topic.Text, "\n")
	month := date.Format("Jan 2006")
	heading := fmt.Sprintf("%% %q %q %q %q %q\n", strings.ToUpper(name), "7", month, "loopkey", "loopkey")
	body := fmt.Sprintf("# NAME\n%s - %s\n\n# DESCRIPTION\n%s\n# SEE ALSO\n**loopkey(1)**\n", name, topic.Title, text)
	return md2man.Render([]byte(heading + body))
}

// complete writes a script for each shell, under the name by which the shell looks for it.
func complete(root *cobra.Command, dir string) error {
	return errors.Join(
		root.GenBashCompletionFileV2(filepath.Join(dir, "loopkey"), true),
		root.GenZshCompletionFile(filepath.Join(dir, "_loopkey")),
		root.GenFishCompletionFile(filepath.Join(dir, "loopkey.fish"), true),
		root.GenPowerShellCompletionFileWithDesc(filepath.Join(dir, "loopkey.ps1")),
	)
}

// date returns the date of the pages, which is that of the commit where a build says so
// (https://reproducible-builds.org/specs/source-date-epoch/).
func date() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%q is no number of seconds", text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
