package main

import (
	"errors"
	"fmt"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/remote"
	"example.com/crashlab/supervisor/transport"
)

// clusterFlags say which running cluster the trials of an experiment run on.
type clusterFlags struct {
	Cluster string `placeholder:"FILE" help:"Run the trials on the running cluster that this file names, one after the other; what it says is shown above."`
	transport.Client
}

// clusterHelp is what the file says.
const clusterHelp = `With --cluster, FILE is YAML that says where the supervisors of a running cluster are controlled:

    control: [10.0.0.1:7100, 10.0.0.2:7100]   # HOST:PORT, unix:///PATH, or dns:///NAME:PORT for one at each address of a name
    group: counter                            # which replicas, where the supervisors have several groups
    replicas: {counter-0: 127.0.0.1:17101}    # where replicas are reached, if not where their supervisor says
    fault_port: 7102                          # where they serve fault.v1.Fault, if not where they serve the Counter

All but control may be left out. Each trial restarts as many replicas as its cell has, with the faults and the restart delay of the cell, ` +
	`and stops the others; its probes stay as they are. At the end, and after Ctrl-C, everything is put back as it was. Nobody else should call the replicas meanwhile.`

// engine returns the engine of trials on the cluster.
func (f *clusterFlags) engine(out output) (*remote.Engine, error) {
	target, err := cluster.ReadFile(f.Cluster)
	if err != nil {
		return nil, fileError(err, fmt.Sprintf("--cluster %q: no such file: want one with the addresses of its supervisors, such as control: [127.0.0.1:7100]", f.Cluster))
	}
	credentials, err := secure(f.Client, out)
	if err != nil {
		return nil, err
	}
	return remote.New(target, credentials), nil
}

// refusal is the error of a run on the cluster; what the cluster cannot do is a mistake of the
// user's.
func (f *clusterFlags) refusal(err error) error {
	if refused, ok := errors.AsType[*remote.Refused](err); ok {
		return &exit{exitUsage, fmt.Sprintf("--cluster %s: %v", f.Cluster, refused)}
	}
	return err
}

// command is what names the cluster in a command; empty for none.
func (f *clusterFlags) command() []string {
	var command []string
	for _, flag := range []struct{ name, value string }{
		{"cluster", f.Cluster}, {"tls-ca", string(f.CA)}, {"tls-cert", string(f.Cert)}, {"tls-key", string(f.Key)},
		{"tls-server-name", string(f.ServerName)},
	} {
		if flag.value != "" {
			command = append(command, "--"+flag.name+"="+flag.value)
		}
	}
	return command
}
