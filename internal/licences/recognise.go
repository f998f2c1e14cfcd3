package main

import (
	"cmp"
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// The permissive licences, a file each: its name as SPDX writes it, then its text without the lines that name who
// holds the copyright. {name} and {holders} stand for up to eight words.
//
//go:embed texts/*.txt
var texts embed.FS

// beside are sentences that may stand beside a licence without changing it. A sentence that is a part of another
// comes after it.
var beside = []string{
	"The MIT License (MIT)", "The MIT License", "MIT License", "ISC License",
	"BSD 2-Clause License", "BSD 3-Clause License",
	"go-toml v2",
	"END OF TERMS AND CONDITIONS",
	`APPENDIX: How to apply the Apache License to your work. To apply the Apache License to your work, attach the
	following boilerplate notice, with the fields enclosed by brackets "[]" replaced with your own identifying
	information. (Don't include the brackets!) The text should be enclosed in the appropriate comment syntax for the
	file format. We also recommend that a file or class name and description of purpose be included on the same
	"printed page" as the copyright notice for easier identification within third-party archives.`,
}

type licence struct {
	name string
	text *regexp.Regexp
}

// licences reads the folder texts, the longest text first: a short one may be a part of it.
var licences = sync.OnceValues(func() ([]licence, error) {
	entries, err := texts.ReadDir("texts")
	if err != nil {
		return nil, err
	}
	var all []licence
	for _, entry := range entries {
		content, err := texts.ReadFile("texts/" + entry.Name())
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(entry.Name(), ".txt")
		name = strings.TrimSuffix(name, ".notice") // a notice names the licence instead of quoting it
		all = append(all, licence{name, pattern(string(content))})
	}
	slices.SortFunc(all, func(a, b licence) int { return cmp.Compare(len(b.text.String()), len(a.text.String())) })
	return all, nil
})

// pattern matches a text of the folder in what words returns.
func pattern(text string) *regexp.Regexp {
	parts := regexp.MustCompile(`\{[a-z]+\}`).Split(text, -1)
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(words(part))
	}
	return regexp.MustCompile(`\b` + strings.Join(parts, `( [a-z0-9]+){1,8}? `) + `\b`)
}

// recognise returns the names of the licences in a text. It is an error if there is none, or if anything is left of
// the text without them: a sentence more can make another licence of it.
func recognise(text string) ([]string, error) {
	known, err := licences()
	if err != nil {
		return nil, err
	}
	rest := words(text)
	var names []string
	for _, l := range known {
		without := l.text.ReplaceAllString(rest, "|")
		if without != rest && !slices.Contains(names, l.name) {
			names = append(names, l.name)
		}
		rest = without
	}
	for _, sentence := range beside {
		rest = pattern(sentence).ReplaceAllString(rest, "|")
	}
	if rest = strings.Trim(rest, "| "); rest != "" || len(names) == 0 {
		return nil, fmt.Errorf("no permissive licence that is known here; what is not recognised begins with %.120q", rest)
	}
	return names, nil
}

var (
	copyrightLine = regexp.MustCompile(
		`(?im)^[ \t]*(copyright (\(c\)|©|[0-9]|\[yyyy\]|\{yyyy\}).*|all rights reserved\.?[ \t]*)$`)
	notWords = regexp.MustCompile(`[^a-z0-9]+`)
)

// words returns a text's words in lower case with a space between them, without the lines that name who holds the
// copyright and without the marks of a list.
func words(text string) string {
	text = notWords.ReplaceAllString(strings.ToLower(copyrightLine.ReplaceAllString(text, "")), " ")
	return strings.Join(slices.DeleteFunc(strings.Fields(text), func(word string) bool {
		return len(word) == 1 && word[0] <= '9'
	}), " ")
}
