package clusterfile

import (
	"errors"
	"strings"
	"testing"

	"example.com/crashlab/supervisor/inputfile"
)

func FuzzClusterFile(f *testing.F) {
	for _, text := range []string{
		"replicas: 2\nbase_port: 8000\ncommand: [\"true\", \"{addr}\"]\nready: {kind: grpc, timeout: 1s}\nbanner: \"{addrs}\"\n",
		"command: [\"true\"]\nenv: {A: \"{name}\"}\nlimit: {exits: 3, then: stop-all}\nrlimits: {nofile: 10:20}\n",
		"command: [\"true\"]\ngroups:\n  a: {replicas: 1}\n  b: {base_port: 9000, backoff: {factor: 2, jitter: 0.5}}\ncontrol: {addr: 127.0.0.1:1}\n",
		"command: [\"true\", \"${HOME:-x}$$\", \"${NONE}\"]\nenv_file: x.env\n",
		"command: [\"true\", --addr={addr}]\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in := input{file: &file{path: "x.yaml"}}
		c, err := in.read(func(string, int) ([]byte, error) { return []byte(text), nil })
		if err == nil {
			if len(c.Replicas) == 0 || len(c.Replicas) > maxReplicas {
				t.Errorf("%d replicas", len(c.Replicas))
			}
			return
		}
		m, ok := errors.AsType[*inputfile.Mistake](err)
		if !ok || strings.Contains(m.Error(), "\n") || m.What == "" {
			t.Errorf("%v: want a mistake on one line", err)
		}
	})
}
