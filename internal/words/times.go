package words

import (
	"fmt"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Duration writes a duration in the largest unit that fits: 45 seconds, 10 minutes, 3 days.
func Duration(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= 2*unit.size || d == unit.size || d >= unit.size && unit.size > time.Minute {
			return plural(int64(d/unit.size), unit.name)
		}
	}
	return plural(int64(d/time.Second), "second")
}

func plural(n int64, name string) string {
	if n == 1 {
		return "1 " + name
	}
	return fmt.Sprintf("%d %ss", n, name)
}

// Short writes a duration to the minute, as one sets a clock by it: 1m30s, 12m, 5h30m.
func Short(d time.Duration) string {
	if d < 2*time.Minute {
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// Moment writes a time by this machine's clock, with its distance from now.
func Moment(t, now time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.Local().Format("2006-01-02 15:04:05 MST") + " (" + Distance(t, now) + ")"
}

// Clock writes a time by this machine's clock in few letters: without the date on the day of now.
func Clock(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// Date writes a time by this machine's clock for a page, where the machine's form stands beside it.
func Date(t time.Time) string { return t.Local().Format("2 January 2006, 15:04:05 MST") }

// Distance writes the time between t and now in the two largest units that say something: in 4m 10s, 3d 2h ago, now.
func Distance(t, now time.Time) string {
	d, form := t.Sub(now), "in %s"
	if d < 0 {
		d, form = -d, "%s ago"
	}
	var parts []string
	add := func(n time.Duration, unit string) {
		if n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d%s", n, unit))
		}
	}
	add(d/day, "d")
	add(d%day/time.Hour, "h")
	add(d%time.Hour/time.Minute, "m")
	if d < time.Hour {
		add(d%time.Minute/time.Second, "s")
	}
	if len(parts) == 0 {
		return "now"
	}
	return fmt.Sprintf(form, strings.Join(parts, " "))
}
