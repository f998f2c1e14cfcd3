package cli

import (
	"fmt"
	"os"
	"path/filepath"
)

// writeDemoPages writes a few Markdown pages for the demo's server to protect.
func writeDemoPages(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the demo's pages: %w", err)
	}
	for name, content := range map[string]string{
		"welcome.md": "# Welcome\n\nThis page is a Markdown file that only a logged-in browser gets to see.\n\n" +
			"- [x] log in\n- [ ] open the engine room\n- [ ] open the vault\n",
		"engine.md": "---\ntitle: The engine room\nrequire:\n  https://demo.example/roles: mathematician\n---\n" +
			"# The engine room\n\nIt asks for a role that Ada has.\n\n" +
			"| what | how many |\n| --- | ---: |\n| gears | 25 000 |\n| columns | 50 |\n",
		"vault.md": "---\ntitle: The vault\nacr: strong\n---\n" +
			"# The vault\n\nIt asks for a stronger login, which the tenant pretends to make.\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("the demo's pages: %w", err)
		}
	}
	return nil
}
