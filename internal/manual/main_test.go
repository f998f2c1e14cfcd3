package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/loopkey/loopkey/internal/cli"
)

// Each command that a user can run, each topic and each shell has its file, and two runs write the same bytes.
func TestWrite(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1764000000")
	first, second := written(t), written(t)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("a second run writes something else:\n%s", diff)
	}
	var pages func(cmd *cobra.Command, name string)
	pages = func(cmd *cobra.Command, name string) {
		if first["man1/"+name+".1"] == "" {
			t.Errorf("no page for %s", name)
		}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				pages(sub, name+"-"+sub.Name())
			}
		}
	}
	pages(cli.Commands(), "loopkey")
	files := []string{"loopkey", "_loopkey", "loopkey.fish", "loopkey.ps1"}
	for i, file := range files {
		files[i] = "completions/" + file
	}
	for _, topic := range cli.Topics() {
		files = append(files, "man7/loopkey-"+topic.Name+".7")
	}
	for _, file := range files {
		if first[file] == "" {
			t.Errorf("no %s", file)
		}
	}
}

func TestDateThatIsNone(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if err := write(t.TempDir()); err == nil {
		t.Error("written all the same")
	}
}

// written returns what a run writes, by path.
func written(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
