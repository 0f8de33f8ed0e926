package clusterfile

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/transport"
)

// wrong returns an error about a setting of the supervisor itself. It names the flag if that was
// given, or else the place in the file.
func (in input) wrong(path, what string) error {
	flags := in.flags.Supervisor
	ofTLS, inTLS := strings.CutPrefix(path, "tls.")
	switch {
	case path == "control.addr" && flags.Control.Addr != nil:
		return inputfile.Place{Name: "--control"}.Errorf("%s", what)
	case inTLS && given(flags.TLS, ofTLS), path != "control.addr" && !inTLS && given(flags, path):
		return inputfile.Place{Name: flag(strings.ReplaceAll(path, ".", "_"))}.Errorf("%s", what)
	}
	return in.file.Value(path).Errorf("%s: %s", path, what)
}

// checkAddrs rejects addresses of the supervisor that a replica has too, and those that other
// machines can reach without TLS unless that is allowed.
func (in input) checkAddrs(c *Cluster) error {
	if !c.Serve.Enabled() && !c.Insecure {
		const reached = "%q: other machines can reach it without TLS: want tls.cert and tls.key (--tls-cert and --tls-key), a loopback address%s, or insecure: true (--insecure)"
		if c.Control != "" && !endpoint(c.Control).local() {
			return in.wrong("control.addr", fmt.Sprintf(reached, c.Control, " or unix:///PATH"))
		}
		if c.MetricsAddr != "" && !addr(c.MetricsAddr).local() {
			return in.wrong("metrics_addr", fmt.Sprintf(reached, c.MetricsAddr, ""))
		}
	}
	if lifecycle.Clash(c.Control, c.MetricsAddr) {
		return in.wrong("metrics_addr", fmt.Sprintf("%q: want another, as it is the control service's", c.MetricsAddr))
	}
	for _, r := range c.Replicas {
		another := fmt.Sprintf("%q: want another, as it is replica %s's", r.Addr, r.Name)
		switch {
		case lifecycle.Clash(r.Addr, c.Control):
			return in.wrong("control.addr", another)
		case lifecycle.Clash(r.Addr, c.MetricsAddr):
			return in.wrong("metrics_addr", another)
		}
	}
	return nil
}

// checkTLS rejects incomplete TLS settings, and files that cannot be read or used now.
func (in input) checkTLS(c *Cluster) error {
	t := c.supervisor.TLS
	if t.CA == nil && t.ServerName != nil {
		return in.wrong("tls.server_name", "want a ca (--tls-ca) too: without it replicas are not asked by TLS")
	}
	if c.Ask.Enabled() && c.Ask.CA != transport.SystemCA {
		if err := inputfile.CheckPath(string(c.Ask.CA)); err != nil { // a pipe cannot be read again
			return in.wrong("tls.ca", err.Error())
		}
	}
	_, err := c.Serve.Config(nil)
	if err == nil {
		_, err = c.Ask.Credentials(nil)
	}
	if bad, ok := errors.AsType[*transport.Error](err); ok {
		return in.wrong("tls."+strings.ReplaceAll(bad.Setting, "-", "_"), bad.Err.Error())
	}
	return err
}

// checkFixed rejects changes from one cluster to the next that require a restart.
func (in input) checkFixed(now, next *Cluster) error {
	key := differs(now.supervisor, next.supervisor)
	switch key {
	case "":
		return nil
	case "control":
		key += "." + differs(now.supervisor.Control, next.supervisor.Control)
	case "tls":
		key += "." + differs(now.supervisor.TLS, next.supervisor.TLS)
	}
	return in.wrong(key, "want it as it was: only a restart of the supervisor changes it")
}

// differs returns the key of the first field in which a and b differ, or "".
func differs[T any](a, b T) string {
	for f, v := range reflect.ValueOf(a).Fields() {
		if !reflect.DeepEqual(v.Interface(), reflect.ValueOf(b).FieldByIndex(f.Index).Interface()) {
			return f.Tag.Get("yaml")
		}
	}
	return ""
}
