package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/loopkey/loopkey/internal/test/part"
)

var root = filepath.Join("..", "..")

// loopkey's own licence is the text that the Apache Software Foundation publishes as LICENSE-2.0.txt.
func TestOwnLicence(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	if got := hex.EncodeToString(sum[:]); got != "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30" {
		t.Errorf("LICENSE is not Apache-2.0 to the byte: %s", got)
	}
}

// The files in the repository are those that the linked modules ask for today.
func TestCommittedFiles(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), root, true)
	if err != nil && strings.Contains(err.Error(), "go list") {
		part.Missing(t, "not every module of every platform is at hand, go mod download gets them: %v", err)
	}
	if err != nil {
		t.Error(err)
	}
}

func text(t *testing.T, name string) string {
	t.Helper()
	content, err := texts.ReadFile("texts/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	holders := "the copyright holders and contributors"
	return strings.NewReplacer("{name}", "the age project", "{holders}", holders).Replace(string(content))
}

func TestRecognise(t *testing.T) {
	t.Parallel()
	own, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"MIT":               {"MIT License\n\nCopyright (c) 2019 Yusuke Inuzuka\n\n" + text(t, "MIT"), []string{"MIT"}},
		"ISC":               {"ISC License\nCopyright © 2020 A. Person <a@example.com>\n" + text(t, "ISC"), []string{"ISC"}},
		"BSD of two":        {text(t, "BSD-2-Clause"), []string{"BSD-2-Clause"}},
		"BSD of three":      {"Copyright 2009 The Go Authors.\n" + text(t, "BSD-3-Clause"), []string{"BSD-3-Clause"}},
		"other list marks":  {strings.ReplaceAll(text(t, "BSD-3-Clause"), "* ", "1. "), []string{"BSD-3-Clause"}},
		"other line breaks": {strings.ReplaceAll(text(t, "BSD-3-Clause"), "\n", "\r\n  "), []string{"BSD-3-Clause"}},
		"Apache":            {string(own), []string{"Apache-2.0"}},
		"Apache, no end":    {text(t, "Apache-2.0"), []string{"Apache-2.0"}},
		"Apache, by notice": {"Copyright 2011 Canonical Ltd\n" + text(t, "Apache-2.0.notice"), []string{"Apache-2.0"}},
		"two":               {text(t, "MIT") + "\n" + text(t, "BSD-3-Clause"), []string{"BSD-3-Clause", "MIT"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := recognise(c.text); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("recognised %v: %v", got, err)
			}
		})
	}
}

const gpl = `                    GNU GENERAL PUBLIC LICENSE
                       Version 3, 29 June 2007

 Copyright (C) 2007 Free Software Foundation, Inc. <https://fsf.org/>
 Everyone is permitted to copy and distribute verbatim copies
 of this license document, but changing it is not allowed.

                            Preamble

  The GNU General Public License is a free, copyleft license for
software and other kinds of works.
`

func TestRefused(t *testing.T) {
	t.Parallel()
	mit := "MIT License\nCopyright (c) 2019 A. Person\n" + text(t, "MIT")
	for name, text := range map[string]string{
		"GPL":            gpl,
		"GPL beside MIT": mit + "\n" + gpl,
		"GPL before MIT": gpl + "\n" + mit,
		"MIT or worse":   mit + "\nThe folder enterprise is under the GPL.\n",
		"for good":       mit + "\nThe Software shall be used for Good, not Evil.\n",
		"Commons Clause": `"Commons Clause" License Condition v1.0` + "\n" + mit,
		"a word less":    strings.Replace(mit, "sublicense,", "", 1),
		"a word changed": strings.Replace(mit, "free of charge", "for a charge", 1),
		"a longer clause": strings.Replace(text(t, "BSD-3-Clause"), "the age project",
			"anybody at all, and who pays no fee for the use, "+strings.Repeat("x ", 8), 1),
		"a copyright line": "Copyright law is not touched, but the use in products is forbidden.\n" + mit,
		"all rights":       "All rights reserved.\n",
		"nothing":          "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if names, err := recognise(text); err == nil {
				t.Errorf("recognised as %v", names)
			}
		})
	}
}

// folder holds the files of a module that some other program could be.
func folder(t *testing.T, files map[string]string) module {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return module{Path: "example.com/of/another", Version: "v1.2.3", platforms: []string{"windows"}, dirs: []string{dir}}
}

func TestProduce(t *testing.T) {
	t.Parallel()
	mit := "Copyright (c) 2019 A. Person\n" + text(t, "MIT")
	files, err := produce([]module{folder(t, map[string]string{
		"LICENSE": mit, "license_test.go": gpl, "NOTICE": "Made by A. Person.\n", "README.md": gpl,
	})})
	if err != nil {
		t.Fatal(err)
	}
	licences, notice := string(files[licencesFile]), string(files[noticeFile])
	if !strings.Contains(licences, "example.com/of/another v1.2.3 (MIT, on windows alone)\n\n"+mit) {
		t.Errorf("%s holds %s", licencesFile, licences)
	}
	if !strings.HasSuffix(notice, "\nexample.com/of/another says:\n\n    Made by A. Person.\n") {
		t.Errorf("%s holds %s", noticeFile, notice)
	}

	for name, files := range map[string]map[string]string{
		"no licence":     {"README.md": mit},
		"GPL":            {"COPYING": gpl},
		"GPL beside MIT": {"LICENSE-MIT": mit, "LICENSE.GPL": gpl},
	} {
		_, err := produce([]module{folder(t, files)})
		if err == nil || !strings.Contains(err.Error(), "example.com/of/another v1.2.3: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that lacks a module, as after a new dependency, is out of date.
func TestOutdated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":  "module example.com/program\n\ngo 1.25.0\n",
		"main.go": "package main\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want string) {
		t.Helper()
		err := run(t.Context(), dir, true)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	check("out of date, run go run ./internal/licences: NOTICE, THIRD_PARTY_LICENCES")
	if err := run(t.Context(), dir, false); err != nil {
		t.Fatal(err)
	}
	check("")
	path := filepath.Join(dir, licencesFile)
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, written[:len(written)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	check("out of date, run go run ./internal/licences: THIRD_PARTY_LICENCES")
}
