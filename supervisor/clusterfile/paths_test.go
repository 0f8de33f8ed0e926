package clusterfile

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// atHome creates the files home/bin/tool, home/etc/vars.env, home/etc/data/a/own and home/work/own,
// and returns home. The working directory becomes home/work.
func atHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for path, text := range map[string]string{"bin/tool": "", "etc/vars.env": "A=1", "etc/data/a/own": "", "work/own": ""} {
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(home, "work"))
	return home
}

// readAs reads a text as if it were a cluster file at a path.
func readAs(t *testing.T, path, text string, f Flags) *Cluster {
	t.Helper()
	c, err := input{flags: f, file: &file{path: path}}.read(func(string, int) ([]byte, error) { return []byte(text), nil })
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return c
}

// The parent of a linked directory is that of the directory to which the link leads.
func TestParentBehindALink(t *testing.T) {
	home := atHome(t)
	if err := os.Symlink(home+"/etc/data", "link"); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"link/c.yaml": "../vars.env", "link/../c.yaml": "vars.env"} {
		c := readAs(t, path, "command: [\"true\"]\nenv_file: "+text+"\n", Flags{})
		if !slices.Contains(c.Replicas[0].Env, "A=1") {
			t.Errorf("%s: %s has %q", path, text, c.Replicas[0].Env)
		}
	}
}

// Relative paths of programs and directories are relative to the directory of the file.
func TestProgramsAreRelativeToTheFile(t *testing.T) {
	home := atHome(t)
	data := home + "/etc/data/a"
	for _, tt := range []struct{ path, text, program, dir string }{
		{home + "/etc/c.yaml", "command: [../bin/tool]", home + "/bin/tool", ""},
		{home + "/etc/c.yaml", "command: [\"./data/{name}/own\"]", data + "/own", ""},
		{home + "/etc/c.yaml", "command: [" + home + "/bin/tool]", home + "/bin/tool", ""},
		{home + "/etc/c.yaml", "command: [sh, ../bin/tool]", "sh", ""},
		{home + "/etc/c.yaml", "command: [sh]\ndir: data/{name}", "sh", data},
		{home + "/etc/c.yaml", "command: [./own]\ndir: data/{name}", "./own", data},
		{home + "/etc/c.yaml", "command: [bin/tool]\ndir: " + home, "bin/tool", home},
		{home + "/etc/c.yaml", "command: [bin/tool]\ndir: data\ngroups: {g: {dir: ..}}", "bin/tool", home},
		{"../etc/c.yaml", "command: [../../../bin/tool]\ndir: data/{name}", "../../../bin/tool", "../etc/data/a"},
		{"../etc/c.yaml", "command: [data/a/own]", "../etc/data/a/own", ""},
		{"c.yaml", "command: [./own]", "./own", ""},
		{"c.yaml", "command: [../bin/tool]", "../bin/tool", ""},
		{"/dev/fd/63", "command: [./own]", "./own", ""},
		{"/proc/self/fd/11", "command: [./own]\ndir: ../work", "./own", "../work"},
	} {
		r := readAs(t, tt.path, tt.text+"\nreplicas: 1\n", Flags{}).Groups[0].Replica(0)
		if r.Args[0] != tt.program || r.Dir != tt.dir {
			t.Errorf("%s: %q: %q in %q, want %q in %q", tt.path, tt.text, r.Args[0], r.Dir, tt.program, tt.dir)
		}
	}
	// Paths in COMMAND are relative to the working directory.
	c := readAs(t, home+"/etc/c.yaml", "command: [no/such]", Flags{Command: []string{"./own", "x"}})
	if got := c.Replicas[0].Args[0]; got != "./own" {
		t.Errorf("COMMAND ./own became %s", got)
	}
}

func TestFilesAreRelativeToTheFile(t *testing.T) {
	home := atHome(t)
	const text = "command: [\"true\"]\nenv_file: vars.env\nevents: ../e.jsonl\nlog_dir: logs\nstate_dir: /var/state\n"
	c := readAs(t, "../etc/c.yaml", text, Flags{})
	if c.Events != "../e.jsonl" || c.LogDir != "../etc/logs" || c.StateDir != "/var/state" || !slices.Contains(c.Replicas[0].Env, "A=1") {
		t.Errorf("got %+v and the environment %q", c.Settings, c.Replicas[0].Env)
	}
	logs, mode := filePath("logs"), fileMode(0o600)
	c = readAs(t, home+"/etc/c.yaml", text, Flags{Supervisor: supervisorSettings{LogDir: &logs, FileMode: &mode}})
	if c.Events != home+"/e.jsonl" || c.LogDir != "logs" || c.FileMode != 0o600 {
		t.Errorf("got %+v: want the flag's log directory relative to the working directory", c.Settings)
	}
	if c := readAs(t, home+"/etc/c.yaml", "command: [\"true\"]\nevents: \"-\"\n", Flags{}); c.Events != "-" {
		t.Errorf("events on stdout became %s", c.Events)
	}
	if c := readAs(t, home+"/etc/c.yaml", "command: [\"true\"]\ntls: {ca: system}\n", Flags{}); c.Ask.CA != "system" {
		t.Errorf("the system's authorities became %s", c.Ask.CA)
	}
	m := bad(t, write(t, "command: [\"true\"]\ntls: {cert: a.pem, key: b.pem}\n"), Flags{})
	contains(t, m.Error(), []string{"tls.cert", filepath.Dir(m.Name) + "/a.pem"})
	m = bad(t, write(t, "command: [bin/tool]\n"), Flags{})
	contains(t, m.Error(), []string{"command[0]", filepath.Dir(m.Name) + "/bin/tool", "want a program"})
}
