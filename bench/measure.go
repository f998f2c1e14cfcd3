package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// A sample is what runs of a command cost, as medians.
type sample struct {
	wall, cpu time.Duration
}

// once runs a command to its end.
func once(cmd *exec.Cmd) (sample, error) {
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = nil, &said
	began := time.Now()
	err := cmd.Run()
	s := sample{wall: time.Since(began)}
	if err != nil {
		return s, fmt.Errorf("%s: %w: %s", cmd.Args[0], err, strings.TrimSpace(said.String()))
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return s, nil
}

// A work is a command of one contender, run again and again.
type work struct {
	who     string
	command func(ctx context.Context) *exec.Cmd
	before  func(ctx context.Context) error // not counted; may be nil
}

// inTurn runs each work n times, one after the other in turn, so that what else the machine does meets all of them. It
// returns the medians. A work that fails is left out and named in failed.
func inTurn(ctx context.Context, n int, works []work) (medians []sample, failed []error) {
	runs := make([][]sample, len(works))
	failed = make([]error, len(works))
	for round := range n + 1 { // the first one warms the caches and is not counted
		for i, w := range works {
			if failed[i] != nil {
				continue
			}
			if w.before != nil {
				if failed[i] = w.before(ctx); failed[i] != nil {
					continue
				}
			}
			var s sample
			if s, failed[i] = once(w.command(ctx)); round > 0 && failed[i] == nil {
				runs[i] = append(runs[i], s)
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	medians = make([]sample, len(works))
	for i := range works {
		if len(runs[i]) > 0 {
			medians[i] = median(runs[i])
		}
	}
	return medians, failed
}

// together runs a command n times at once, and returns how long that took until the last one ended.
func together(ctx context.Context, n int, command func(ctx context.Context) *exec.Cmd) (time.Duration, error) {
	var all sync.WaitGroup
	errs := make([]error, n)
	began := time.Now()
	for i := range n {
		all.Go(func() { _, errs[i] = once(command(ctx)) })
	}
	all.Wait()
	return time.Since(began), errors.Join(errs...)
}

func median(all []sample) sample {
	middle := func(of func(sample) int64) int64 {
		values := make([]int64, len(all))
		for i, s := range all {
			values[i] = of(s)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return sample{
		wall: time.Duration(middle(func(s sample) int64 { return int64(s.wall) })),
		cpu:  time.Duration(middle(func(s sample) int64 { return int64(s.cpu) })),
	}
}
