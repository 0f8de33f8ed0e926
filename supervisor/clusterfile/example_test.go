package clusterfile_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"example.com/crashlab/supervisor/clusterfile"
)

// A program reads a cluster file. Its Groups are those of a supervisor.Config.
func ExampleRead() {
	dir, err := os.MkdirTemp("", "clusterfile")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "cluster.yaml")
	file := "replicas: 2\ncommand: [sleep, '{port}']\nrestart_delay: 2s\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		log.Fatal(err)
	}
	c, err := clusterfile.Read(path, clusterfile.Flags{})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range c.Replicas {
		fmt.Println(r.Name, r.Addr, r.Args)
	}
	fmt.Println("relaunched after", c.Groups[0].Policy.Delay)
	// Output:
	// a 127.0.0.1:7101 [sleep 7101]
	// b 127.0.0.1:7102 [sleep 7102]
	// relaunched after 2s
}
