package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"usher"
)

// horizon is how far ahead a calendar's next change is looked for, in days.
const horizon = 370

const minutesOfDay = 24 * 60

// weekdays are the names of the days in a calendar, in the order of [time.Weekday].
func weekdays() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

// span is a range of one day in minutes after its midnight; to may lie on the next day.
type span struct{ from, to int }

// calendar is a compiled one.
type calendar struct {
	zone   *time.Location
	days   [7][]span // by time.Weekday, ascending
	dates  map[int][]span
	last   int // the latest date of dates
	weekly bool
	full   bool // every day is open from midnight to midnight
}

// newCalendar compiles a calendar whose ranges and dates can be read.
func newCalendar(c *usher.Calendar, zone *time.Location) *calendar {
	k := &calendar{zone: zone, dates: make(map[int][]span, len(c.Exceptions))}
	full := true
	for i, name := range weekdays() {
		k.days[i] = spansOf(c.Days[name])
		k.weekly = k.weekly || len(k.days[i]) > 0
		full = full && slices.Equal(k.days[i], []span{{0, minutesOfDay}})
	}
	for _, e := range c.Exceptions {
		t, err := time.Parse(time.DateOnly, e.Date)
		if err != nil {
			continue
		}
		date := dateOf(t)
		k.dates[date], k.last = spansOf(e.Hours), max(k.last, date)
	}
	k.full = full
	return k
}

// spansOf returns the ranges that can be read, ascending.
func spansOf(hours []usher.Hours) []span {
	var out []span
	for _, h := range hours {
		if s, ok := spanOf(h); ok {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b span) int { return a.from - b.from })
	return out
}

func spanOf(h usher.Hours) (span, bool) {
	from, ok := minutes(h.From)
	to, fine := minutes(h.To)
	if !ok || !fine || from == minutesOfDay {
		return span{}, false
	}
	if to <= from {
		to += minutesOfDay
	}
	return span{from, to}, true
}

// minutes reads HH:MM, from 00:00 to 24:00.
func minutes(s string) (int, bool) {
	if len(s) != 5 || s[2] != ':' {
		return 0, false
	}
	for _, i := range [4]int{0, 1, 3, 4} {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	h, m := int(s[0]-'0')*10+int(s[1]-'0'), int(s[3]-'0')*10+int(s[4]-'0')
	if h > 24 || m > 59 || h == 24 && m > 0 {
		return 0, false
	}
	return h*60 + m, true
}

// dateOf is t's date as one ascending number.
func dateOf(t time.Time) int {
	y, m, d := t.Date()
	return (y*100+int(m))*100 + d
}

// never reports whether the calendar is closed at every moment.
func (k *calendar) never() bool {
	if k.weekly {
		return false
	}
	for _, spans := range k.dates {
		if len(spans) > 0 {
			return false
		}
	}
	return true
}

// open answers for now and tells when the answer changes next; zero = not within
// the horizon.
func (k *calendar) open(now time.Time) (bool, time.Time) {
	open, change := k.look(now)
	if change.Sub(now) > horizon*24*time.Hour {
		change = time.Time{}
	}
	return open, change
}

// look joins the ranges from the day before now on. What began the evening
// before goes on, so one day is enough.
func (k *calendar) look(now time.Time) (open bool, change time.Time) {
	y, m, d := now.In(k.zone).Date()
	day := time.Date(y, m, d-1, 0, 0, 0, 0, time.UTC) // a date, not a moment
	var until time.Time
	for range horizon + 3 {
		date := dateOf(day)
		switch {
		case !k.weekly && date > k.last:
			return open, until
		case k.full && date > k.last && open && !k.moment(day, 0).After(until):
			return true, time.Time{} // for ever
		}
		spans, ok := k.dates[date]
		if !ok {
			spans = k.days[day.Weekday()]
		}
		for _, s := range spans {
			from, to := k.moment(day, s.from), k.moment(day, s.to)
			switch {
			case !to.After(now) || !to.After(from): // over, or swallowed by a change of the clock
			case open && from.After(until):
				return true, until
			case open:
				until = later(until, to)
			case from.After(now):
				return false, from
			default:
				open, until = true, to
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return open, until
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// moment is when a clock in the calendar's zone shows so many minutes after the
// midnight of day. A time that comes twice is its first; one that is left out is
// the moment at which the clock is put forward.
func (k *calendar) moment(day time.Time, minutes int) time.Time {
	y, m, d := day.Date()
	t := time.Date(y, m, d, 0, minutes, 0, 0, k.zone)
	shown := day.Add(time.Duration(minutes) * time.Minute) // the clock's face
	start, end := t.ZoneBounds()
	_, offset := t.Zone()
	face := t.UTC().Add(time.Duration(offset) * time.Second)
	switch {
	case face.Before(shown):
		return end
	case face.After(shown):
		return start
	case start.IsZero():
		return t
	}
	_, was := start.Add(-1).Zone()
	if first := t.Add(-time.Duration(was-offset) * time.Second); was > offset && first.Before(start) {
		return first
	}
	return t
}

// Open tells whether the calendar is open at now and when that changes next;
// zero = not within 370 days. A calendar that the policy does not have, or "", is
// always open.
func (c *Compiled) Open(name string, now time.Time) (open bool, change time.Time) {
	k := c.calendars[name]
	if k == nil {
		return true, time.Time{}
	}
	return k.open(now)
}

func (v *validator) checkCalendars(p *usher.Policy) {
	v.calendars = make(map[string]*calendar, len(p.Calendars))
	seen := make(map[string]bool)
	for i := range p.Calendars {
		c, path := &p.Calendars[i], item("calendars", i)
		v.name(join(path, "name"), c.Name, seen)
		v.calendarNames = append(v.calendarNames, c.Name)
		zone := v.zone(join(path, "zone"), c.Zone)
		v.checkDays(join(path, "days"), c)
		dates := make(map[string]bool)
		for j, e := range c.Exceptions {
			at := item(join(path, "exceptions"), j)
			v.date(join(at, "date"), e.Date, dates)
			v.ranges(join(at, "hours"), e.Hours)
		}
		if _, ok := v.calendars[c.Name]; !ok {
			v.calendars[c.Name] = newCalendar(c, zone)
		}
	}
}

// zone reads the name of a time zone; UTC when it cannot.
func (v *validator) zone(path, name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		v.fault(path, FaultValue, nearestZone(name), "there is no time zone %q; use a name such as Asia/Shanghai", name)
		return time.UTC
	}
	return zone
}

// nearestZone suggests among the zones in which most service teams work, also
// for a city alone.
func nearestZone(name string) string {
	zones := []string{
		"UTC", "Asia/Shanghai", "Asia/Hong_Kong", "Asia/Taipei", "Asia/Macau", "Asia/Urumqi", "Asia/Singapore", "Asia/Tokyo",
		"Asia/Seoul", "Asia/Bangkok", "Asia/Jakarta", "Asia/Manila", "Asia/Kuala_Lumpur", "Asia/Ho_Chi_Minh", "Asia/Kolkata",
		"Asia/Dubai", "Asia/Riyadh", "Asia/Jerusalem", "Europe/London", "Europe/Dublin", "Europe/Lisbon", "Europe/Madrid",
		"Europe/Paris", "Europe/Berlin", "Europe/Amsterdam", "Europe/Rome", "Europe/Vienna", "Europe/Zurich", "Europe/Stockholm",
		"Europe/Warsaw", "Europe/Athens", "Europe/Istanbul", "Europe/Moscow", "Africa/Cairo", "Africa/Lagos", "Africa/Nairobi",
		"Africa/Johannesburg", "America/New_York", "America/Toronto", "America/Chicago", "America/Denver", "America/Phoenix",
		"America/Los_Angeles", "America/Vancouver", "America/Mexico_City", "America/Bogota", "America/Sao_Paulo",
		"America/Argentina/Buenos_Aires", "Australia/Sydney", "Australia/Melbourne", "Australia/Perth", "Pacific/Auckland",
	}
	asked := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), " ", "_"))
	cities, of := make([]string, len(zones)), make(map[string]string, len(zones))
	for i, z := range zones {
		city := strings.ToLower(z[strings.LastIndexByte(z, '/')+1:])
		cities[i], of[city] = city, z
	}
	of["beijing"] = "Asia/Shanghai"
	if s := nearest(name, zones); s != "" {
		return s
	}
	return of[nearest(asked[strings.LastIndexByte(asked, '/')+1:], slices.Concat(cities, []string{"beijing"}))]
}

func (v *validator) date(path, s string, seen map[string]bool) {
	switch _, err := time.Parse(time.DateOnly, s); {
	case s == "":
		v.fault(path, FaultMissing, "", "an exception needs a date")
	case err != nil:
		suggestion := ""
		for _, form := range []string{"2006-1-2", "2006/1/2", "2006.1.2", "20060102", time.RFC3339} {
			if t, err := time.Parse(form, s); err == nil {
				suggestion = t.Format(time.DateOnly)
			}
		}
		v.fault(path, FaultValue, suggestion, "must be a date such as 2026-10-01, not %q", s)
	case seen[s]:
		v.fault(path, FaultDuplicate, "", "%s is there already; one exception holds all its hours", s)
	}
	seen[s] = true
}

func (v *validator) checkDays(path string, c *usher.Calendar) {
	names := weekdays()
	for _, name := range slices.Sorted(maps.Keys(c.Days)) {
		if !slices.Contains(names, name) {
			v.fault(join(path, name), FaultField, nearest(name, names), "there is no day %q", name)
		}
	}
	for i := range names {
		before, name := names[i], names[(i+1)%7] // monday first
		at := join(path, name)
		v.ranges(at, c.Days[name])
		// What goes past midnight ends before the next day's first begins.
		for _, s := range spansOf(c.Days[before]) {
			for j, h := range c.Days[name] {
				if t, ok := spanOf(h); ok && s.to-minutesOfDay > t.from {
					v.fault(item(at, j), FaultOverlap, "", "begins at %s, while what began the day before goes on until %s", h.From, clock(s.to))
				}
			}
		}
	}
}

// ranges checks the hours of one day.
func (v *validator) ranges(path string, hours []usher.Hours) {
	for i, h := range hours {
		at := item(path, i)
		v.time(join(at, "from"), h.From, false)
		v.time(join(at, "to"), h.To, true)
		s, ok := spanOf(h)
		if !ok {
			continue
		}
		for _, other := range hours[:i] {
			if t, ok := spanOf(other); ok && s.from < t.to && t.from < s.to {
				v.fault(at, FaultOverlap, "", "%s to %s overlaps %s to %s", h.From, h.To, other.From, other.To)
				break
			}
		}
	}
}

func (v *validator) time(path, s string, end bool) {
	n, ok := minutes(s)
	switch {
	case s == "":
		v.fault(path, FaultMissing, "", "must be a time such as 09:00")
	case !ok:
		suggestion := ""
		for _, form := range []string{"15:4", "15:04:05", "15.04", "15", "3:04PM", "3PM", "15：04"} {
			if t, err := time.Parse(form, strings.ToUpper(strings.TrimSpace(s))); err == nil {
				suggestion = t.Format("15:04")
				break
			}
		}
		v.fault(path, FaultValue, suggestion, "must be a time from 00:00 to 24:00 such as 09:30, not %q", s)
	case n == minutesOfDay && !end:
		v.fault(path, FaultValue, "00:00", "24:00 ends a day; the next one begins at 00:00")
	}
}

// clock writes minutes after midnight as HH:MM.
func clock(minutes int) string {
	minutes %= minutesOfDay
	return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60)
}
