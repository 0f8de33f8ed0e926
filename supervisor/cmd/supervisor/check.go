package main

import (
	"io"

	"example.com/crashlab/supervisor/cmd/supervisor/clusterfile"
)

type checkCmd struct {
	File  string            `arg:"" help:"Cluster file (YAML)"`
	Flags clusterfile.Flags `embed:""`

	stdout io.Writer
}

// Run reads the file, with the flags over it, and prints what would run. It
// launches nothing, and does not look whether the ports are free.
func (c *checkCmd) Run() error {
	cluster, err := clusterfile.Read(c.File, c.Flags)
	if err != nil {
		return err
	}
	text, err := cluster.Resolved()
	if err == nil {
		_, err = c.stdout.Write(text)
	}
	return err
}
