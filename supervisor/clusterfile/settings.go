package clusterfile

import (
	"io/fs"
	"maps"
	"reflect"
	"strings"
	"time"

	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/transport"
)

// Flags are the settings of the command line, which override the cluster file. Commands embed them
// in their kong structs.
type Flags struct {
	Group      groupSettings      `embed:""`
	Supervisor supervisorSettings `embed:""`
	Insecure   bool               `help:"Let other machines connect to --control and --metrics-addr without TLS."`
	Command    []string           `kong:"-"` // program and arguments; empty: those of the file
}

// groupSettings are the settings of a group of replicas. Those with a help text have flags. Nil
// means not given.
type groupSettings struct {
	Replicas     *count              `yaml:"replicas" placeholder:"N" help:"Number of replicas, 1 to 1000; they are named a, b, c and so on. (default: 3)"`
	Name         *label              `yaml:"name" placeholder:"NAME" help:"Name of a single replica. (default: a)"`
	Host         *host               `yaml:"host" placeholder:"IP" help:"IP address at which the replicas listen. (default: 127.0.0.1)"`
	BasePort     *port               `yaml:"base_port" placeholder:"PORT" help:"Port of replica a; b has the next one. (default: 7101)"`
	Restart      *mode               `yaml:"restart" placeholder:"always|on-failure|never" help:"After which exits to relaunch. (default: always)"`
	RestartDelay *duration           `yaml:"restart_delay" placeholder:"DURATION" help:"Time from a replica's exit to its relaunch, such as 1.5s. (default: 500ms)"`
	Backoff      *backoff            `yaml:"backoff" kong:"-"`
	Limit        *limit              `yaml:"limit" kong:"-"`
	Ready        *probe              `yaml:"ready" placeholder:"tcp|http|grpc|notify|none" help:"How to check whether a replica is ready. (default: as --alive, or none)"`
	StartTimeout *duration           `yaml:"start_timeout" placeholder:"DURATION" help:"Longest time from launch to ready; then a replica is killed. 0s means no limit. (default: 0s)"`
	Alive        *probe              `yaml:"alive" placeholder:"tcp|http|grpc|none" help:"How to check each second whether a ready replica is alive; after three failures it is killed. tcp does not detect a process that hangs. (default: none)"`
	Stop         *stop               `yaml:"stop" kong:"-"`
	StopTimeout  *duration           `yaml:"stop_timeout" placeholder:"DURATION" help:"Time from SIGTERM to SIGKILL when stopping. (default: 5s)"`
	After        []verbatim          `yaml:"after" kong:"-"`
	LogOverflow  *overflow           `yaml:"log_overflow" placeholder:"block|drop" help:"What happens when lines come faster than the log files take them: block makes the replica wait, drop discards and counts lines. (default: block)"`
	Command      []verbatim          `yaml:"command" kong:"-"` // with placeholders, as are env and dir
	Env          map[string]verbatim `yaml:"env" kong:"-"`
	EnvFile      *filePath           `yaml:"env_file" kong:"-"`
	CleanEnv     *boolean            `yaml:"clean_env" kong:"-"`
	Dir          *verbatim           `yaml:"dir" kong:"-"`
	Rlimits      map[string]rlimit   `yaml:"rlimits" kong:"-"`
	Nice         *nice               `yaml:"nice" kong:"-"`
	User         *verbatim           `yaml:"user" kong:"-"`
}

type backoff struct {
	Factor *factor   `yaml:"factor"`
	Max    *duration `yaml:"max"`
	Jitter *share    `yaml:"jitter"`
	Reset  *duration `yaml:"reset"`
}

type limit struct {
	Exits  *exits    `yaml:"exits"`
	Window *duration `yaml:"window"`
	Then   *then     `yaml:"then"`
}

type probe struct {
	Kind      *kind     `yaml:"kind"`
	Service   *verbatim `yaml:"service"`
	Path      *verbatim `yaml:"path"`
	Period    *duration `yaml:"period"`
	Timeout   *duration `yaml:"timeout"`
	Threshold *count    `yaml:"threshold"`
	Terminate *boolean  `yaml:"terminate"`
}

// stop says how a replica is stopped.
type stop struct {
	Signal  *signalName `yaml:"signal"`
	To      *stopTarget `yaml:"to"`
	Timeout *duration   `yaml:"timeout"`
}

// supervisorSettings are the settings of the supervisor itself, which only a restart can change.
// Nil means not given.
type supervisorSettings struct {
	Control     controlSettings `yaml:"control" embed:""`
	TLS         tlsSettings     `yaml:"tls" embed:""`
	Insecure    *boolean        `yaml:"insecure" kong:"-"` // has a flag of its own
	MetricsAddr *addr           `yaml:"metrics_addr" placeholder:"HOST:PORT" help:"Serve metrics for Prometheus at this address, under /metrics."`
	Events      *filePath       `yaml:"events" placeholder:"FILE" help:"Append events to FILE as JSON lines; - means stdout and implies --quiet."`
	LogDir      *filePath       `yaml:"log_dir" placeholder:"DIR" help:"Write the output of each replica, with the time, to DIR/NAME.log."`
	LogSize     *megabytes      `yaml:"log_size" placeholder:"MB" help:"Size at which a file in --log-dir is rotated, 2 to 10000 MB. (default: 10)"`
	LogFiles    *count          `yaml:"log_files" placeholder:"N" help:"Rotated files in --log-dir to keep for each replica, 1 to 1000. (default: 5)"`
	FileMode    *fileMode       `yaml:"file_mode" placeholder:"MODE" help:"Permissions, in octal, of files that are created for --events and --log-dir. (default: 0640)"`
	StateDir    *filePath       `yaml:"state_dir" placeholder:"DIR" help:"Directory that only one supervisor at a time may use."`
	MaxStarting *count          `yaml:"max_starting" placeholder:"N" help:"How many replicas start at a time, 1 to 1000. (default: 16)"`
}

// controlSettings are the settings of the control service.
type controlSettings struct {
	Addr *endpoint `yaml:"addr" name:"control" placeholder:"ADDR|none" help:"Serve the control service, for supervisor ctl and grpcurl, at HOST:PORT or unix:///PATH; none switches it off."`
}

// tlsSettings are the files of certificates and keys.
type tlsSettings struct {
	Cert       *filePath    `yaml:"cert" name:"tls-cert" placeholder:"FILE" help:"Certificate (PEM) for serving --control, unless it is a path, and --metrics-addr over TLS; with --tls-ca it is also shown to replicas. All certificate files are read again when they change."`
	Key        *filePath    `yaml:"key" name:"tls-key" placeholder:"FILE" help:"Private key for --tls-cert (PEM)."`
	ClientCA   *filePath    `yaml:"client_ca" name:"tls-client-ca" placeholder:"FILE" help:"Accept only clients with a certificate signed by one in this file (PEM): mTLS."`
	CA         *authorities `yaml:"ca" name:"tls-ca" placeholder:"FILE" help:"Probe replicas over TLS; their certificates must be signed by one in this file (PEM), or with system by an authority that the system trusts."`
	ServerName *verbatim    `yaml:"server_name" name:"tls-server-name" placeholder:"NAME" help:"Name in the replicas' certificates, if it is not the host of their address."`
}

// or returns s with missing settings taken from others. Maps are merged.
func (s groupSettings) or(others groupSettings) groupSettings {
	fill(&s, others)
	s.Env = join(s.Env, others.Env)
	s.Rlimits = join(s.Rlimits, others.Rlimits)
	return s
}

func (o supervisorSettings) or(others supervisorSettings) supervisorSettings {
	fill(&o.Control, others.Control)
	fill(&o.TLS, others.TLS)
	fill(&o, others)
	return o
}

// fill sets the zero fields of s to those of others.
func fill[T any](s *T, others T) {
	to, from := reflect.ValueOf(s).Elem(), reflect.ValueOf(others)
	for i := range to.NumField() {
		if to.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
}

func join[V any](first, others map[string]V) map[string]V {
	all := maps.Clone(others)
	if all == nil {
		return first
	}
	maps.Copy(all, first)
	return all
}

// given reports whether s, a struct of settings, has a value for a key.
func given(s any, key string) bool {
	v, _ := inputfile.Field(reflect.ValueOf(s), key)
	return !v.IsZero()
}

// flag returns the flag for a key.
func flag(key string) string { return "--" + strings.ReplaceAll(key, "_", "-") }

// Settings are the settings of the supervisor itself, with defaults filled in. Zero means off.
type Settings struct {
	Control     string           // address of the control service
	Serve       transport.Server // TLS of the control service and the metrics
	Ask         transport.Client // TLS of the probes
	Insecure    bool             // other machines may connect without TLS
	MetricsAddr string           // address of the metrics for Prometheus
	Events      string           // file to which events are appended; -: stdout
	LogDir      string           // directory with a log file for each replica
	LogSize     int64            // size in bytes at which such a file is full
	LogFiles    int              // number of full files to keep for each replica
	FileMode    fs.FileMode      // permissions of files that are created
	StateDir    string           // directory that only one supervisor may use at a time
	MaxStarting int              // see supervisor.Config; zero: its default
}

func (o supervisorSettings) settings() Settings {
	return Settings{
		Control: o.Control.addr(), Serve: o.TLS.server(), Ask: o.TLS.client(), Insecure: bool(deref(o.Insecure)),
		MetricsAddr: string(deref(o.MetricsAddr)), Events: string(deref(o.Events)), StateDir: string(deref(o.StateDir)),
		LogDir: string(deref(o.LogDir)), LogSize: int64(deref(o.LogSize)) * 1e6, LogFiles: int(deref(o.LogFiles)),
		FileMode: fs.FileMode(deref(o.FileMode)), MaxStarting: int(deref(o.MaxStarting)),
	}
}

// addr returns the address, or "" if the control service is off.
func (c controlSettings) addr() string {
	if a := deref(c.Addr); a != off {
		return string(a)
	}
	return ""
}

func (t tlsSettings) server() transport.Server {
	return transport.Server{Cert: transport.Path(deref(t.Cert)), Key: transport.Path(deref(t.Key)), ClientCA: transport.Path(deref(t.ClientCA))}
}

// client returns how replicas are asked: over TLS if there is a CA.
func (t tlsSettings) client() transport.Client {
	c := transport.Client{CA: transport.Path(deref(t.CA)), ServerName: transport.Name(deref(t.ServerName))}
	if c.CA != "" {
		c.Cert, c.Key = transport.Path(deref(t.Cert)), transport.Path(deref(t.Key))
	}
	return c
}

func supervisorDefaults() supervisorSettings {
	return supervisorSettings{LogSize: new(megabytes(10)), LogFiles: new(count(5)), FileMode: new(fileMode(0o640))}
}

// The default base port is below the ephemeral range, from which a client's own socket could take
// the port of a replica that is down.
func defaults() groupSettings {
	return groupSettings{
		Replicas: new(count(3)), Host: new(host("127.0.0.1")), BasePort: new(port(7101)),
		Restart: new(mode(restart.ModeAlways)), RestartDelay: new(duration(500 * time.Millisecond)),
		StopTimeout: new(duration(lifecycle.DefaultStopTimeout)),
	}
}
