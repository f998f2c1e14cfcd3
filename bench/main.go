// Command bench compares loopkey with what else this machine has for the same work: kubelogin, oidc-agent and gh, if
// they are on PATH, and a program that does no more than it has to. All of them log in at the tenant of the demo.
//
//	go run ./bench                     the keychain of this desktop
//	dbus-run-session go run ./bench    without a desktop: with gnome-keyring it unlocks one for itself
//
// It prints what loopkey takes, and how often that the others take. It keeps what it makes in a folder of its own and
// in keychain entries of its own, and removes both.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if os.Getenv(visitor) != "" { // this program is also the browser of those that log in
		if err := visit(ctx, os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stderr, "bench: the login:", err)
			os.Exit(1) //nolint:forbidigo // this is a main
		}
		return
	}
	runs := flag.Int("runs", 40, "how often each command runs")
	binary := flag.String("loopkey", "", "the loopkey to measure; empty builds it from this source")
	keep := flag.String("keystore", "keychain", "where loopkey keeps its session: keychain, or file")
	flag.Parse()
	how := measurement{runs: *runs, together: []int{20, 100}, binary: *binary, keystore: *keep}
	if err := run(ctx, os.Stdout, os.Stderr, how); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

// A measurement says what is measured.
type measurement struct {
	runs     int    // of each command
	together []int  // how many processes at once
	binary   string // the loopkey to measure; "": it is built
	keystore string // of loopkey
}

// run measures row after row, and prints all of them at the end.
func run(ctx context.Context, out, progress io.Writer, how measurement) error {
	b, err := newBench(ctx, how.binary, how.keystore)
	if err != nil {
		return err
	}
	defer b.close(context.WithoutCancel(ctx))
	var all table
	all.row("work", "program", "wall", "CPU", "memory", "wall, loopkey = 1")
	for _, measured := range []struct {
		name  string
		works []work
		runs  int
	}{
		{"start", b.starts(), how.runs},
		{"cached token", b.cached(), how.runs},
		{"renewal", b.renewals(), how.runs},
		{"login", b.logins(), max(how.runs/4, 1)},
	} {
		if _, err := fmt.Fprintln(progress, "measuring:", measured.name); err != nil {
			return err
		}
		medians, failed := inTurn(ctx, measured.runs, measured.works)
		if err := ctx.Err(); err != nil {
			return err
		}
		for i, w := range measured.works {
			if failed[i] != nil {
				b.leftOut("%s, %s: %v", measured.name, w.who, failed[i])
				continue
			}
			s := medians[i]
			all.row(measured.name, w.who, milliseconds(s.wall), milliseconds(s.cpu), megabytes(b.memory(ctx, w)),
				ratio(s.wall, medians[0].wall))
		}
	}
	for _, n := range how.together {
		if err := b.atOnce(ctx, &all, n); err != nil {
			return err
		}
	}
	for _, p := range b.programs() {
		if info, err := os.Stat(p.path); err == nil {
			all.row("size", p.who, "", "", megabytes(info.Size()), "")
		}
	}
	text := fmt.Sprintf("%s, %s/%s, %d processors, %s; medians of %d runs in turn\n\n%s",
		time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), how.runs,
		all.String())
	if len(b.left) > 0 {
		text += "\nNot compared:\n- " + strings.Join(b.left, "\n- ") + "\n"
	}
	_, err = io.WriteString(out, text)
	return err
}

// A table is rows of columns.
type table struct{ rows [][]string }

func (t *table) row(columns ...string) { t.rows = append(t.rows, columns) }

// String returns the table with its columns one below the other.
func (t *table) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, columns := range t.rows {
		_, _ = io.WriteString(w, strings.Join(columns, "\t")+"\n")
	}
	_ = w.Flush() // it writes to memory
	return text.String()
}

// ratio returns how many times as long as loopkey another takes; "-" if loopkey failed.
func ratio(other, loopkey time.Duration) string {
	if loopkey == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(other)/float64(loopkey))
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

func megabytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
