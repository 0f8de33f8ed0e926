package clusterfile

import (
	"fmt"
	"reflect"
	"strings"

	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/inputfile"
)

// wrong says what is wrong with a setting of the supervisor itself. It blames
// the flag that was given, else the place in the file.
func (in input) wrong(path, what string) error {
	key, ofControl := strings.CutPrefix(path, "control.")
	switch {
	case path == "control.addr" && in.flags.Own.Control.Addr != nil:
		return inputfile.Place{Name: "--control"}.Errorf("%s", what)
	case ofControl && given(in.flags.Own.Control, key), !ofControl && given(in.flags.Own, key):
		return inputfile.Place{Name: flag(strings.ReplaceAll(path, ".", "_"))}.Errorf("%s", what)
	}
	return in.file.Value(path).Errorf("%s: %s", path, what)
}

// checkAddrs refuses addresses of ours that a replica has, and metrics for
// strangers.
func (in input) checkAddrs(c *Cluster) error {
	if a := c.own.MetricsAddr; a != nil && !a.local() && !bool(deref(c.own.MetricsPublic)) {
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

// checkControl refuses a control service that cannot be, or that strangers can
// use.
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

// checkFixed refuses to change, from one cluster to another, what only a
// restart can.
func (in input) checkFixed(now, next *Cluster) error {
	key := differs(now.own.Control, next.own.Control)
	if key != "" {
		key = "control." + key
	} else if key = differs(now.own, next.own); key == "" {
		return nil
	}
	return in.wrong(key, "want it as it was: only a restart of the supervisor changes it")
}

// differs returns the key of the first field that does.
func differs[T any](a, b T) string {
	for f, v := range reflect.ValueOf(a).Fields() {
		if !reflect.DeepEqual(v.Interface(), reflect.ValueOf(b).FieldByIndex(f.Index).Interface()) {
			return f.Tag.Get("yaml")
		}
	}
	return ""
}
