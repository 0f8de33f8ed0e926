package clusterfile

import (
	"io/fs"
	"maps"
	"reflect"
	"strings"
	"time"

	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/restart"
)

// Flags are what the command line says, which overrides the cluster file. Commands
// embed them.
type Flags struct {
	Group      groupSettings      `embed:""`
	Supervisor supervisorSettings `embed:""`
	Command    []string           `kong:"-"` // program and arguments; empty: that of the file
}

// groupSettings are the settings of a group of replicas. Those with a help text have
// flags. Nil: not given.
type groupSettings struct {
	Replicas     *count              `yaml:"replicas" placeholder:"N" help:"Number of replicas, 1 to 1000; they are named a, b, c... (default 3)"`
	Host         *host               `yaml:"host" placeholder:"IP" help:"Address that the replicas listen at (default 127.0.0.1)"`
	BasePort     *port               `yaml:"base_port" placeholder:"PORT" help:"Port of replica a; b has the next one (default 7101)"`
	Restart      *mode               `yaml:"restart" placeholder:"always|on-failure|never" help:"After which exits to relaunch (default always)"`
	RestartDelay *duration           `yaml:"restart_delay" placeholder:"DURATION" help:"From a replica's exit to its relaunch, such as 1.5s (default 500ms)"`
	Backoff      *backoff            `yaml:"backoff" kong:"-"`
	Limit        *limit              `yaml:"limit" kong:"-"`
	Ready        *probe              `yaml:"ready" placeholder:"tcp|http|grpc|notify|none" help:"How to ask a replica whether it is ready (default as --alive, or none)"`
	StartTimeout *duration           `yaml:"start_timeout" placeholder:"DURATION" help:"From launch to ready, after which a replica is killed; 0s: no limit (default 0s)"`
	Alive        *probe              `yaml:"alive" placeholder:"tcp|http|grpc|none" help:"How to ask a ready replica, each second, whether it is alive; it is killed after three bad answers. tcp cannot see a process that hangs (default none)"`
	Stop         *stop               `yaml:"stop" kong:"-"`
	StopTimeout  *duration           `yaml:"stop_timeout" placeholder:"DURATION" help:"From SIGTERM to SIGKILL when stopping (default 5s)"`
	After        []verbatim          `yaml:"after" kong:"-"`
	LogOverflow  *overflow           `yaml:"log_overflow" placeholder:"block|drop" help:"What happens to lines that the files are too slow for: the replica waits as it writes, or lines are dropped and counted (default block)"`
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

// supervisorSettings are the settings of the supervisor itself, which only a restart
// can change. Nil: not given.
type supervisorSettings struct {
	Control       controlSettings `yaml:"control" embed:""`
	MetricsAddr   *addr           `yaml:"metrics_addr" placeholder:"HOST:PORT" help:"Serve metrics for Prometheus there, at /metrics"`
	MetricsPublic *boolean        `yaml:"metrics_public" placeholder:"true" help:"Let --metrics-addr be one that other machines can reach (default false)"`
	Events        *filePath       `yaml:"events" placeholder:"FILE" help:"Append what happens to FILE, as JSON lines; - for stdout, which implies --quiet"`
	LogDir        *filePath       `yaml:"log_dir" placeholder:"DIR" help:"Write each replica's lines, with the time, to DIR/NAME.log"`
	LogSize       *megabytes      `yaml:"log_size" placeholder:"MB" help:"Size of a file in --log-dir, 2 to 10000 MB; then another is begun (default 10)"`
	LogFiles      *count          `yaml:"log_files" placeholder:"N" help:"How many full files in --log-dir to keep for each replica, 1 to 1000 (default 5)"`
	FileMode      *fileMode       `yaml:"file_mode" placeholder:"MODE" help:"Permissions, in octal, of files that are created for --events and --log-dir (default 0640)"`
	StateDir      *filePath       `yaml:"state_dir" placeholder:"DIR" help:"Allow one supervisor at a time for this directory"`
	MaxStarting   *count          `yaml:"max_starting" placeholder:"N" help:"How many replicas start at a time, 1 to 1000 (default 16)"`
}

// controlSettings are those of the control service.
type controlSettings struct {
	Addr        *endpoint `yaml:"addr" name:"control" placeholder:"ADDR" help:"Serve supervisor.v1.Supervisor at HOST:PORT or unix:///PATH, for grpcurl and supervisor ctl"`
	Cert        *filePath `yaml:"cert" name:"control-cert" placeholder:"FILE" help:"Certificate of the control service (PEM), for TLS"`
	Key         *filePath `yaml:"key" name:"control-key" placeholder:"FILE" help:"Private key for --control-cert (PEM)"`
	CA          *filePath `yaml:"ca" name:"control-ca" placeholder:"FILE" help:"Certificates (PEM) of which one must have signed the client's, for mTLS"`
	AllowRemote *boolean  `yaml:"allow_remote" name:"control-allow-remote" placeholder:"true" help:"Let --control be one that other machines can reach, without TLS (default false)"`
}

// or returns s with what it does not give taken from others. Maps are joined.
func (s groupSettings) or(others groupSettings) groupSettings {
	fill(&s, others)
	s.Env = join(s.Env, others.Env)
	s.Rlimits = join(s.Rlimits, others.Rlimits)
	return s
}

func (o supervisorSettings) or(others supervisorSettings) supervisorSettings {
	fill(&o.Control, others.Control)
	fill(&o, others)
	return o
}

// fill sets the fields of s that are zero to those of others.
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

// Settings are the settings of the supervisor itself, with defaults filled in. Zero:
// off.
type Settings struct {
	Control     Control
	MetricsAddr string      // address at which metrics are served for Prometheus
	Events      string      // file that events are appended to; -: stdout
	LogDir      string      // directory with a file of each replica's lines
	LogSize     int64       // size in bytes at which such a file is full
	LogFiles    int         // number of full files that are kept of each replica
	FileMode    fs.FileMode // permissions of files that are created
	StateDir    string      // directory that only one supervisor may have at a time
	MaxStarting int         // see supervisor.Config; zero: its default
}

// Control says where the control service is.
type Control struct {
	Addr        string
	TLS         control.TLS
	AllowRemote bool // other machines may reach Addr without TLS
}

func (o supervisorSettings) settings() Settings {
	return Settings{
		Control:     Control{Addr: string(deref(o.Control.Addr)), TLS: o.Control.tls(), AllowRemote: bool(deref(o.Control.AllowRemote))},
		MetricsAddr: string(deref(o.MetricsAddr)), Events: string(deref(o.Events)), StateDir: string(deref(o.StateDir)),
		LogDir: string(deref(o.LogDir)), LogSize: int64(deref(o.LogSize)) * 1e6, LogFiles: int(deref(o.LogFiles)),
		FileMode: fs.FileMode(deref(o.FileMode)), MaxStarting: int(deref(o.MaxStarting)),
	}
}

func supervisorDefaults() supervisorSettings {
	return supervisorSettings{LogSize: new(megabytes(10)), LogFiles: new(count(5)), FileMode: new(fileMode(0o640))}
}

// The base port lies below the ephemeral range, from which a client's own
// socket could take the port of a replica that is down.
func defaults() groupSettings {
	return groupSettings{
		Replicas: new(count(3)), Host: new(host("127.0.0.1")), BasePort: new(port(7101)),
		Restart: new(mode(restart.ModeAlways)), RestartDelay: new(duration(500 * time.Millisecond)),
		StopTimeout: new(duration(5 * time.Second)),
	}
}
