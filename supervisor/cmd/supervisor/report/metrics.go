package report

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/status"
)

// metrics is a collector for Prometheus. It reads the replicas' statuses at each scrape, and counts
// events.
type metrics struct {
	list     func() []status.Status
	sinks    func() []control.Sink
	registry *prometheus.Registry

	exits          *prometheus.CounterVec
	launchFailures *prometheus.CounterVec
	readyAfter     *prometheus.HistogramVec
}

var replicaLabels = []string{"replica", "group"}

var (
	upDesc       = describe("up", "1 if the replica has a process.")
	readyDesc    = describe("ready", "1 if the replica is ready.")
	stateDesc    = describe("state", "1 for the state that the replica is in, 0 for the others.", "state")
	restartsDesc = describe("restarts_total", "Launches of the replica after its first.")
	cpuDesc      = describe("cpu_seconds_total", "User and system time of the replica's process and its descendants, including those that have ended and were waited for. Linux only.")
	memoryDesc   = describe("resident_memory_bytes", "Resident memory of the replica's process and its descendants. Linux only.")
	lostDesc     = describe("output_lines_dropped_total", "Lines of the replica's output that were dropped because it wrote faster than they could be stored, with log_overflow drop.")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("supervisor_replica_"+name, help, append(replicaLabels[:2:2], labels...), nil)
}

var sinkDesc = prometheus.NewDesc("supervisor_sink_lines_lost_total", "Lines that a sink lost because it was full or a write failed.", []string{"sink"}, nil)

// newMetrics returns metrics of the replicas that list returns and of the sinks.
func newMetrics(list func() []status.Status, sinks func() []control.Sink) *metrics {
	m := &metrics{
		list: list, sinks: sinks, registry: prometheus.NewRegistry(),
		exits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "supervisor_replica_exits_total",
			Help: "Exits of the replica's processes, by exit code or signal. Expected are those that a command caused.",
		}, append(replicaLabels[:2:2], "code", "signal", "expected")),
		launchFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "supervisor_replica_launch_failures_total",
			Help: "Launches of the replica that failed, so that there was no process.",
		}, replicaLabels),
		readyAfter: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "supervisor_replica_ready_after_seconds",
			Help:    "Time from launch to ready.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, replicaLabels),
	}
	m.registry.MustRegister(m, m.exits, m.launchFailures, m.readyAfter,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// note counts an event. When a replica is removed, its counts are deleted.
func (m *metrics) note(e event.Event) {
	switch e.Kind {
	case event.KindReady:
		m.readyAfter.WithLabelValues(e.Replica, e.Group).Observe(e.After.Seconds())
	case event.KindLaunchFailed:
		m.launchFailures.WithLabelValues(e.Replica, e.Group).Inc()
	case event.KindExited:
		var code, signal string
		switch {
		case e.Exit.Signal != 0:
			signal = restart.SignalName(e.Exit.Signal)
		case e.Exit.Code >= 0:
			code = strconv.Itoa(e.Exit.Code)
		}
		m.exits.WithLabelValues(e.Replica, e.Group, code, signal, strconv.FormatBool(!unexpected(e))).Inc()
	case event.KindRemoved:
		labels := prometheus.Labels{"replica": e.Replica}
		m.exits.DeletePartialMatch(labels)
		m.launchFailures.DeletePartialMatch(labels)
		m.readyAfter.DeletePartialMatch(labels)
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upDesc, readyDesc, stateDesc, restartsDesc, cpuDesc, memoryDesc, lostDesc, sinkDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	for _, s := range m.list() {
		send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(d, t, v, append([]string{s.Replica, s.Group}, labels...)...)
		}
		send(upDesc, prometheus.GaugeValue, number(s.PID != 0))
		send(readyDesc, prometheus.GaugeValue, number(s.State == status.StateReady))
		for state := status.StateWaiting; state <= status.StateUnready; state++ {
			send(stateDesc, prometheus.GaugeValue, number(s.State == state), state.String())
		}
		send(restartsDesc, prometheus.CounterValue, float64(s.Restarts))
		send(lostDesc, prometheus.CounterValue, float64(s.Lost))
		if u, known := supervisor.UsageOf(s); known {
			send(cpuDesc, prometheus.CounterValue, u.CPU.Seconds())
			send(memoryDesc, prometheus.GaugeValue, float64(u.Memory))
		}
	}
	for _, s := range m.sinks() {
		to <- prometheus.MustNewConstMetric(sinkDesc, prometheus.CounterValue, float64(s.Lost), s.Name)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// serve answers at /metrics until the listener is closed.
func (m *metrics) serve(l net.Listener, log hclog.Logger) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	s := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second,
		// The default is stderr, which may be stuck.
		ErrorLog: log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
	}
	if err := s.Serve(l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
