package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"usher"
)

// Metrics is what usher counts and measures. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests       *prometheus.HistogramVec
	stages         *prometheus.HistogramVec
	commits        prometheus.Observer
	groups         prometheus.Observer
	failedCommits  prometheus.Counter
	fences         prometheus.Counter
	events         *prometheus.CounterVec
	decisions      *prometheus.CounterVec
	understandings *prometheus.CounterVec
	confidence     *prometheus.HistogramVec
	sent           *prometheus.CounterVec
	faults         *prometheus.CounterVec
	received       *prometheus.CounterVec
	mails          *prometheus.CounterVec
}

// NewMetrics returns metrics with the version of the program among them.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(v)
		return v
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	seconds := []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5}
	m.requests = histogram("usher_http_request_seconds", "Time to answer a request, by route and status.", seconds, "method", "route", "status")
	m.stages = histogram("usher_stage_seconds", "Where the time of a model call went.", seconds, "stage")
	m.commits = histogram("usher_commit_seconds", "Time of one group commit.", seconds).WithLabelValues()
	m.groups = histogram("usher_commit_changes", "Changes in one group commit.", []float64{1, 2, 4, 8, 16, 32, 64, 128, 256}).WithLabelValues()
	m.failedCommits = counter("usher_commit_failures_total", "Commits that failed; the inputs were stepped again.").WithLabelValues()
	m.fences = counter("usher_fence_changes_total", "Take-overs of the dispatcher, the first included.").WithLabelValues()
	m.events = counter("usher_events_total", "Events of the log, by type.", "type")
	m.decisions = counter("usher_decisions_total", "Routing decisions.", "trigger", "outcome", "degraded")
	m.understandings = counter("usher_understandings_total", "Messages understood, by outcome.", "outcome", "degraded")
	m.sent = counter("usher_sends_total", "Attempts to carry a message to a platform.", "kind", "outcome")
	m.faults = counter("usher_send_faults_total", "Attempts that a platform did not take, by reason.", "kind", "reason")
	m.received = counter("usher_calls_total", "Calls of platforms and mails, by what became of them.", "kind", "outcome")
	m.mails = counter("usher_mails_total", "Mails and connections to mailboxes, by what became of them.", "outcome")
	m.confidence = histogram("usher_intent_confidence", "Probability of the most probable intent.",
		[]float64{.1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .99}, "intent")

	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "usher_build_info", Help: "Always 1."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Request observes an answered request. The route is the pattern, never the path.
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}

// Stage observes a part of a model call: tokenize, queue or infer; model_cpu is the
// processor time inside it.
func (m *Metrics) Stage(stage string, took time.Duration) {
	m.stages.WithLabelValues(stage).Observe(took.Seconds())
}

// Understood observes what the models said of one text.
func (m *Metrics) Understood(u *usher.Understanding) {
	m.understandings.WithLabelValues(string(u.Outcome), strconv.FormatBool(u.Degraded)).Inc()
	if label, p := u.Top(); label != "" {
		m.confidence.WithLabelValues(label).Observe(p)
	}
}

// Commit observes one group commit of n changes.
func (m *Metrics) Commit(n int, took time.Duration, err error) {
	if err != nil {
		m.failedCommits.Inc()
		return
	}
	m.commits.Observe(took.Seconds())
	m.groups.Observe(float64(n))
}

// TakenOver observes that this process became the dispatcher.
func (m *Metrics) TakenOver() { m.fences.Inc() }

// Committed observes what a group of changes held.
func (m *Metrics) Committed(cs []usher.Change) {
	for i := range cs {
		for j := range cs[i].Events {
			m.events.WithLabelValues(cs[i].Events[j].Type).Inc()
		}
		for j := range cs[i].Decisions {
			d := &cs[i].Decisions[j]
			m.decisions.WithLabelValues(d.Trigger, d.Outcome, strconv.FormatBool(d.Degraded)).Inc()
		}
	}
}

// Sent observes an attempt to carry a message: accepted, failed, unknown or
// postponed, and unless it was accepted, why: a code.
func (m *Metrics) Sent(kind usher.ChannelKind, outcome, reason string) {
	m.sent.WithLabelValues(string(kind), outcome).Inc()
	if reason != "" {
		m.faults.WithLabelValues(string(kind), reason).Inc()
	}
}

// Received observes the end of a platform's call: received, none (it held no
// message), or a code that says why it is not for the floor.
func (m *Metrics) Received(kind usher.ChannelKind, outcome string) {
	m.received.WithLabelValues(string(kind), outcome).Inc()
}

// Mail observes a mail (stored, repeated, skipped, gone; then person, quiet,
// not_understood, automatic, bounce, own or storm) or a connection to a mailbox
// (connected, disconnected).
func (m *Metrics) Mail(outcome string) { m.mails.WithLabelValues(outcome).Inc() }

// WatchOutbox adds gauges of the outbox by state, read when the metrics are. What
// cannot be read then is left out.
func (m *Metrics) WatchOutbox(count func() (map[string]int, error)) {
	m.registry.MustRegister(&outbox{count, prometheus.NewDesc("usher_outbox", "Messages to customers by state: queued, sending, unknown.", []string{"state"}, nil)})
}

type outbox struct {
	count func() (map[string]int, error)
	desc  *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (o *outbox) Describe(ch chan<- *prometheus.Desc) { ch <- o.desc }

// Collect implements prometheus.Collector.
func (o *outbox) Collect(ch chan<- prometheus.Metric) {
	counts, err := o.count()
	if err != nil {
		return
	}
	for state, n := range counts {
		ch <- prometheus.MustNewConstMetric(o.desc, prometheus.GaugeValue, float64(n), state)
	}
}

// WatchIndex adds what tells who answers vector searches, read when the metrics are.
func (m *Metrics) WatchIndex(stats func() (up bool, byServer, byMemory uint64)) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "usher_index_up", Help: "1: Qdrant answers every search; 0: memory answers some or all."}, func() float64 {
			if up, _, _ := stats(); up {
				return 1
			}
			return 0
		}))
	counter := func(by string, of func() uint64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "usher_index_searches_total", Help: "Vector searches, by who answered.", ConstLabels: prometheus.Labels{"by": by},
		}, func() float64 { return float64(of()) }))
	}
	counter("qdrant", func() uint64 { _, n, _ := stats(); return n })
	counter("memory", func() uint64 { _, _, n := stats(); return n })
}

// Watch adds gauges of the floor, read when the metrics are.
func (m *Metrics) Watch(live func() usher.Live) {
	m.registry.MustRegister(newFloor(live))
}

// WatchMailboxes adds gauges of what waits for the dispatcher.
func (m *Metrics) WatchMailboxes(depth func() (arrivals, actions int)) {
	gauge := func(mailbox string, of func() int) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "usher_mailbox_depth", Help: "Inputs that wait for the dispatcher.", ConstLabels: prometheus.Labels{"mailbox": mailbox},
		}, func() float64 { return float64(of()) }))
	}
	gauge("arrivals", func() int { n, _ := depth(); return n })
	gauge("actions", func() int { _, n := depth(); return n })
}

// floor turns the live view into gauges.
type floor struct {
	live                                                       func() usher.Live
	step, waiting, oldest, free, agents, used, channel, alarms *prometheus.Desc
}

func newFloor(live func() usher.Live) *floor {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &floor{
		live:    live,
		step:    desc("usher_step", "Position of the log."),
		waiting: desc("usher_queue_waiting", "Conversations that wait for an agent.", "queue"),
		oldest:  desc("usher_queue_oldest_seconds", "Accumulated wait of the conversation that has waited longest.", "queue"),
		free:    desc("usher_queue_free_units", "Free units of agents online who serve the queue.", "queue"),
		agents:  desc("usher_agents", "Agents by presence.", "presence"),
		used:    desc("usher_units", "Units of agents online: used, reserved among them, and in all.", "state"),
		channel: desc("usher_channel_conversations", "Conversations by channel.", "channel", "state"),
		alarms:  desc("usher_alarms", "Alarms that stand, by kind.", "kind"),
	}
}

// Describe implements prometheus.Collector.
func (f *floor) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{f.step, f.waiting, f.oldest, f.free, f.agents, f.used, f.channel, f.alarms} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f *floor) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	l := f.live()
	ch <- prometheus.MustNewConstMetric(f.step, prometheus.CounterValue, float64(l.Step))
	for _, q := range l.Queues {
		gauge(f.waiting, q.Waiting, q.ID)
		gauge(f.oldest, q.OldestS, q.ID)
		gauge(f.free, q.FreeUnits, q.ID)
	}
	presences := map[usher.Presence]int{}
	used, reserved, units := 0, 0, 0
	for _, a := range l.Agents {
		presences[a.Presence]++
		if a.Presence == usher.PresenceOnline {
			used, reserved, units = used+a.UsedUnits, reserved+a.ReservedUnits, units+a.Units
		}
	}
	for p, n := range presences {
		gauge(f.agents, n, string(p))
	}
	gauge(f.used, used, "used")
	gauge(f.used, reserved, "reserved")
	gauge(f.used, units, "all")
	for _, c := range l.Channels {
		gauge(f.channel, c.Open, c.ID, "open")
		gauge(f.channel, c.Waiting, c.ID, "waiting")
	}
	kinds := map[string]int{}
	for _, a := range l.Alarms {
		kinds[a.Kind]++
	}
	for k, n := range kinds {
		gauge(f.alarms, n, k)
	}
}
