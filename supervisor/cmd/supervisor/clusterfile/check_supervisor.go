package clusterfile

import (
	"fmt"
	"reflect"
	"strings"

	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/inputfile"
)

// wrong returns an error about a setting of the supervisor itself. It names the flag,
// if that was given, or else the place in the file.
func (in input) wrong(path, what string) error {
	key, ofControl := strings.CutPrefix(path, "control.")
	switch {
	case path == "control.addr" && in.flags.Supervisor.Control.Addr != nil:
		return inputfile.Place{Name: "--control"}.Errorf("%s", what)
	case ofControl && given(in.flags.Supervisor.Control, key), !ofControl && given(in.flags.Supervisor, key):
		return inputfile.Place{Name: flag(strings.ReplaceAll(path, ".", "_"))}.Errorf("%s", what)
	}
	return in.file.Value(path).Errorf("%s: %s", path, what)
}

// checkAddrs refuses addresses of the supervisor that a replica has too, and metrics
// that other machines can reach unless that is allowed.
func (in input) checkAddrs(c *Cluster) error {
	if a := c.supervisor.MetricsAddr; a != nil && !a.local() && !bool(deref(c.supervisor.MetricsPublic)) {
		return in.wrong("metrics_addr", fmt.Sprintf("%q: other machines can reach it: want a loopback address, or metrics_public: true (--metrics-public true)", *a))
	}
	for _, r := range c.Replicas {
		another := fmt.Sprintf("%q: want another, as it is replica %s's", r.Addr, r.Name)
		switch {
		case clash(r.Addr, c.Control.Addr):
			return in.wrong("control.addr", another)
		case clash(r.Addr, c.MetricsAddr):
			return in.wrong("metrics_addr", another)
		}
	}
	return nil
}

// checkControl refuses incomplete settings of the control service, and those by which
// other machines can use it unless that is allowed.
func (in input) checkControl(c controlSettings) error {
	if c.Addr == nil {
		for _, key := range []string{"cert", "key", "ca", "allow_remote"} {
			if given(c, key) {
				return in.wrong("control."+key, "want an address of the control service too")
			}
		}
		return nil
	}
	switch {
	case c.Cert == nil && c.Key != nil:
		return in.wrong("control.key", "want a certificate too")
	case c.Cert != nil && c.Key == nil:
		return in.wrong("control.cert", "want a key too")
	case c.CA != nil && c.Cert == nil:
		return in.wrong("control.ca", "want a certificate and a key too")
	case c.Cert == nil && !c.Addr.local() && !bool(deref(c.AllowRemote)):
		return in.wrong("control.addr", fmt.Sprintf("%q: other machines can reach it: want a loopback address, unix:///PATH, a certificate for TLS, or allow_remote: true (--control-allow-remote true)", *c.Addr))
	case c.Cert != nil:
		files := c.tls()
		if _, err := (control.TLS{Cert: files.Cert, Key: files.Key}).Server(); err != nil {
			return in.wrong("control.cert", err.Error())
		}
		if _, err := files.Server(); err != nil {
			return in.wrong("control.ca", err.Error())
		}
	}
	return nil
}

func (c controlSettings) tls() control.TLS {
	return control.TLS{Cert: string(deref(c.Cert)), Key: string(deref(c.Key)), CA: string(deref(c.CA))}
}

// checkFixed refuses changes from one cluster to the next that take a restart.
func (in input) checkFixed(now, next *Cluster) error {
	key := differs(now.supervisor.Control, next.supervisor.Control)
	if key != "" {
		key = "control." + key
	} else if key = differs(now.supervisor, next.supervisor); key == "" {
		return nil
	}
	return in.wrong(key, "want it as it was: only a restart of the supervisor changes it")
}

// differs returns the key of the first field in which a and b differ; empty: there is
// none.
func differs[T any](a, b T) string {
	for f, v := range reflect.ValueOf(a).Fields() {
		if !reflect.DeepEqual(v.Interface(), reflect.ValueOf(b).FieldByIndex(f.Index).Interface()) {
			return f.Tag.Get("yaml")
		}
	}
	return ""
}
