package cluster

import (
	"fmt"

	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/parse"
)

// ReadFile reads a Target from a YAML file:
//
//	control: [10.0.0.1:7100, 10.0.0.2:7100]   # the supervisors' control services, or
//	control: [dns:///counter.crashlab:7100]   # one at each address of a name
//	group: counter                            # which replicas, if the supervisors have several groups
//	replicas: {counter-0: 127.0.0.1:17101}    # where replicas are reached, if not where their supervisor says
//	fault_port: 7102                          # where replicas serve fault.v1.Fault, if not at the port of the Counter
//
// Only control is required. Replicas that listen on all addresses of their machine are reached at
// the address of their supervisor. The file must be a regular file or a pipe; if it is anything
// else, or too large, the error is an [*inputfile.Refused]. If it cannot be read, the error is one
// of package os, and for invalid contents an [*inputfile.Mistake].
func ReadFile(path string) (Target, error) {
	text, err := inputfile.ReadOnce(path, inputfile.MaxYAML)
	if err != nil {
		return Target{}, err
	}
	return readFile(path, text)
}

// content is the structure of a file.
type content struct {
	Control   []scalar          `yaml:"control"`
	Group     scalar            `yaml:"group"`
	Replicas  map[string]scalar `yaml:"replicas"`
	FaultPort port              `yaml:"fault_port"`
}

// scalar is any scalar.
type scalar string

func (w *scalar) UnmarshalText(text []byte) error {
	*w = scalar(text)
	return nil
}

// port is a TCP port.
type port int

func (p *port) UnmarshalText(text []byte) error {
	n, err := parse.Whole(string(text), 1, parse.MaxPort)
	*p = port(n)
	return err
}

func readFile(path string, text []byte) (Target, error) {
	doc, err := inputfile.Parse(path, text)
	if err != nil {
		return Target{}, err
	}
	var c content
	if err := doc.Decode(&c, nil); err != nil {
		return Target{}, err
	}
	if len(c.Control) == 0 {
		return Target{}, doc.Value("control").Errorf("control: want a list of the addresses of at least one supervisor, such as [127.0.0.1:7100]")
	}
	t := Target{Group: string(c.Group), FaultPort: int(c.FaultPort), Replicas: map[string]string{}}
	for i, addr := range c.Control {
		if err := checkControl(string(addr)); err != nil {
			return Target{}, doc.Value(fmt.Sprintf("control[%d]", i)).Errorf("control: %v", err)
		}
		t.Control = append(t.Control, string(addr))
	}
	for _, name := range doc.Keys("replicas") {
		addr := c.Replicas[name]
		if _, err := parse.HostPort(string(addr), 1); err != nil {
			return Target{}, doc.Value("replicas."+name).Errorf("replicas.%s: %v", name, err)
		}
		t.Replicas[name] = string(addr)
	}
	return t, nil
}
