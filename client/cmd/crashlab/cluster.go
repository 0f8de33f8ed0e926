package main

import (
	"errors"
	"fmt"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/remote"
	"example.com/crashlab/supervisor/transport"
)

// clusterFlags select a running cluster for the trials of an experiment.
type clusterFlags struct {
	Cluster          string `group:"Running cluster" placeholder:"FILE" help:"Run the trials, one at a time, on the running cluster that this file describes; its format is shown above."`
	transport.Client `group:"Running cluster"`
}

// clusterHelp explains the format of the file, and what happens to the cluster.
const clusterHelp = `The FILE of --cluster is YAML; all keys but control are optional:

    # supervisors, as HOST:PORT, unix:///PATH, or dns:///NAME:PORT for one at
    # each address of a name
    control: [10.0.0.1:7100, 10.0.0.2:7100]
    # group of the replicas, if the supervisors have several
    group: counter
    # addresses of replicas that differ from those their supervisor gives
    replicas: {counter-0: 127.0.0.1:17101}
    # port of the Fault service, if it is not the one of the calls
    fault_port: 7102

Each trial restarts as many replicas as its cell has, with the faults and the restart delay of the cell, and stops the others. The ` +
	`probes are not changed. At the end, and after Ctrl-C, the cluster is restored. Nothing else should call the replicas during the run.`

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

// refusal returns the error of a run on the cluster. A trial that the cluster cannot run is a user
// error.
func (f *clusterFlags) refusal(err error) error {
	if refused, ok := errors.AsType[*remote.Refused](err); ok {
		return &exit{exitUsage, fmt.Sprintf("--cluster %s: %v", f.Cluster, refused)}
	}
	return err
}

// command returns the flags that select the cluster, if any.
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
