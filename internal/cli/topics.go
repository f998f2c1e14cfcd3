package cli

import (
	"embed"
	"strings"

	"github.com/loopkey/loopkey/internal/config"
)

// A Topic is a page of the manual that is about no single command.
type Topic struct {
	Name, Title string
	Text        string // Markdown, with the title as its heading
}

//go:embed topics/*.md
var topicFiles embed.FS

// Topics returns the pages, by name.
func Topics() []Topic {
	files, err := topicFiles.ReadDir("topics")
	if err != nil {
		panic(err) // the linker put them there
	}
	var topics []Topic
	for _, file := range files {
		text, err := topicFiles.ReadFile("topics/" + file.Name())
		if err != nil {
			panic(err)
		}
		t := Topic{Name: strings.TrimSuffix(file.Name(), ".md"), Text: string(text)}
		heading, _, _ := strings.Cut(t.Text, "\n")
		t.Title = strings.TrimPrefix(heading, "# ")
		t.Text = strings.Replace(t.Text, "{settings}", variables(), 1)
		topics = append(topics, t)
	}
	return topics
}

// topicNames returns the names of the pages.
func topicNames() []string {
	var names []string
	for _, t := range Topics() {
		names = append(names, t.Name)
	}
	return names
}

// variables returns a line for each setting that has a variable, from the table of settings.
func variables() string {
	var lines []string
	for _, v := range config.Variables() {
		line := "- `" + strings.Join(v.Names, "`, `") + "`: " + v.Usage
		if v.InDotEnv {
			line += " (`.env` too)"
		}
		lines = append(lines, strings.ReplaceAll(fill(line, helpWidth-2), "\n", "\n  "))
	}
	return strings.Join(lines, "\n")
}

// topic returns the page of a name, as a terminal shows it; "" where there is none.
func topic(name string) string {
	for _, t := range Topics() {
		if t.Name == name {
			return strings.ReplaceAll(strings.TrimPrefix(t.Text, "# "), "**", "")
		}
	}
	return ""
}
