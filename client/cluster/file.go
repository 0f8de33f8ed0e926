package cluster

import (
	"fmt"
	"path/filepath"

	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/parse"
)

// File is what a file says of a cluster.
type File struct {
	Target Target
	TLS    TLS
}

// TLS names the files that connections to the supervisors and the replicas are secured with. The zero value: they are not secured.
type TLS struct {
	CA         string // certificates of which one must have signed those of the servers; empty: the system's
	Cert, Key  string // our own certificate and its key; both or neither
	ServerName string // the name that the servers' certificates must have; empty: that of their host
}

// ReadFile reads a cluster from a file of YAML:
//
//	control: [10.0.0.1:7100, 10.0.0.2:7100]   # the supervisors' control services, or
//	control: [dns:///counter.crashlab:7100]   # one at each address of a name
//	group: counter                            # which replicas, where the supervisors have several groups
//	replicas: {counter-0: 127.0.0.1:17101}    # where replicas are reached, if not where their supervisor says
//	tls: {ca: ca.pem, cert: client.pem, key: client-key.pem, server_name: counter}
//
// All but control may be left out. Replicas that listen at all addresses of their machine are reached at their supervisor's. Paths are
// relative to the directory of the file. The file may be a pipe. One that is neither, or is too large, is an [*inputfile.Refused], one
// that cannot be read an error of package os, and any other error an [*inputfile.Mistake].
func ReadFile(path string) (File, error) {
	text, err := inputfile.ReadOnce(path, inputfile.MaxYAML)
	if err != nil {
		return File{}, err
	}
	return readFile(path, text)
}

// content is the form of a file.
type content struct {
	Control  []word          `yaml:"control"`
	Group    word            `yaml:"group"`
	Replicas map[string]word `yaml:"replicas"`
	TLS      struct {
		CA         word `yaml:"ca"`
		Cert       word `yaml:"cert"`
		Key        word `yaml:"key"`
		ServerName word `yaml:"server_name"`
	} `yaml:"tls"`
}

// word is any scalar.
type word string

func (w *word) UnmarshalText(text []byte) error {
	*w = word(text)
	return nil
}

func readFile(path string, text []byte) (File, error) {
	doc, err := inputfile.Parse(path, text)
	if err != nil {
		return File{}, err
	}
	var c content
	if err := doc.Decode(&c, nil); err != nil {
		return File{}, err
	}
	if len(c.Control) == 0 {
		return File{}, doc.Value("control").Errorf("control: want a list of the addresses of at least one supervisor, such as [127.0.0.1:7100]")
	}
	f := File{Target: Target{Group: string(c.Group), Replicas: map[string]string{}}}
	for i, addr := range c.Control {
		if err := checkControl(string(addr)); err != nil {
			return File{}, doc.Value(fmt.Sprintf("control[%d]", i)).Errorf("control: %v", err)
		}
		f.Target.Control = append(f.Target.Control, string(addr))
	}
	for _, name := range doc.Keys("replicas") {
		addr := c.Replicas[name]
		if _, err := parse.HostPort(string(addr), 1); err != nil {
			return File{}, doc.Value("replicas."+name).Errorf("replicas.%s: %v", name, err)
		}
		f.Target.Replicas[name] = string(addr)
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return File{}, doc.Key("tls").Errorf("tls: cert %q and key %q: want both or neither", c.TLS.Cert, c.TLS.Key)
	}
	relative := func(w word) string {
		if w == "" || filepath.IsAbs(string(w)) {
			return string(w)
		}
		return filepath.Join(filepath.Dir(path), string(w))
	}
	f.TLS = TLS{CA: relative(c.TLS.CA), Cert: relative(c.TLS.Cert), Key: relative(c.TLS.Key), ServerName: string(c.TLS.ServerName)}
	return f, nil
}
