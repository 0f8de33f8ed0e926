package cluster

import (
	"reflect"
	"strings"
	"testing"
)

func TestReadFile(t *testing.T) {
	got, err := readFile("c.yaml", []byte(`
control: [10.0.0.1:7100, "dns:///counter.crashlab:7100", unix:///run/s.sock]
group: counter
replicas: {counter-0: 127.0.0.1:17101}
fault_port: 7102
`))
	want := Target{
		Control: []string{"10.0.0.1:7100", "dns:///counter.crashlab:7100", "unix:///run/s.sock"}, Group: "counter",
		Replicas: map[string]string{"counter-0": "127.0.0.1:17101"}, FaultPort: 7102,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for text, want := range map[string]string{
		"":                                     "c.yaml: control: want a list of the addresses of at least one supervisor",
		"control: []":                          "c.yaml:1:10: control: want a list",
		"control: 10.0.0.1:7100":               `c.yaml:1:10: control: "10.0.0.1:7100": want a list`,
		"control: [x]":                         `c.yaml:1:11: control: "x": want HOST:PORT, dns:///NAME:PORT or unix:///PATH`,
		"control: [dns:///x]":                  `"dns:///x": want HOST:PORT`,
		"control: ['unix://run']":              `"unix://run": want HOST:PORT`,
		"control: [a:1]\nreplicas: {a: b}":     `c.yaml:2:15: replicas.a: "b": want HOST:PORT`,
		"control: [a:1]\nfault_port: 0":        `c.yaml:2:13: fault_port: "0": want a whole number from 1 to 65535`,
		"control: [a:1]\ncommand: [counterd]":  `c.yaml:2:1: unknown key "command": want one of control, group, replicas, fault_port`,
		"control: {addr: 127.0.0.1:7100}\n":    `control: "{": want a list`,
		"control: [a:1]\ngroup: [a]":           "c.yaml:2:8: group: ",
		"control: [a:1]\ncontrol: [b:1]":       "want YAML",
		"control: [a:1]\ngroup:":               "group has no value",
		"control: [a:1]\nreplicas: [a:1, b:1]": "c.yaml:2:11: replicas: ",
	} {
		if got, err := readFile("c.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %+v, %v; want one line with %q", text, got, err, want)
		}
	}
}
