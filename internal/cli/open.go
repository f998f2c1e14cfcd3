package cli

import "github.com/spf13/cobra"

// openPages returns the command open. It is loopkey serve without a wish of its own: it opens whatever a loopkey serve
// shows that is running.
func (a *app) openPages() *cobra.Command {
	var noBrowser bool
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Open the local web UI in your browser",
		Long: `Opens the pages of the loopkey serve that is running, by a URL that works once. If
none is running, it serves them in this terminal until Ctrl-C.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runServe(cmd.Context(), serveFlags{noBrowser: noBrowser})
		},
	}
	cmd.Flags().BoolVar(&noBrowser, "no-browser", false, "print the one-time URL instead of opening it")
	return cmd
}
