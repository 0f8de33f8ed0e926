package main

import (
	"errors"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// runnable are the programs, besides ours, that the check runs.
var runnable = []string{
	"make", "go", "grpcurl", "curl", "python3",
	":", "[", "awk", "cat", "cd", "cp", "cut", "diff", "echo", "export", "false", "grep", "head", "jq", "kill", "ls", "mkdir", "mv",
	"printf", "rm", "sed", "set", "sleep", "sort", "tail", "tee", "test", "touch", "tr", "trap", "true", "uniq", "unset", "wait", "wc",
}

// programs are ours, in bin.
var programs = []string{"counterd", "crashlab", "supervisor"}

// outputs are flags whose values name files that a program writes.
var outputs = []string{"-o", "--output", "--save", "--runs", "--events", "--log-dir", "--state-dir"}

// checkCommand checks a command without running it: that programs, commands, flags, targets, tests
// and files exist.
func (c *checker) checkCommand(cmd command) error {
	switch program := cmd.words[0]; {
	case isOurs(program):
		if err := c.checkProgram(cmd.words); err != nil {
			return err
		}
	case program == "make":
		return c.checkMake(cmd.words[1:], cmd.dir)
	case program == "go":
		return c.checkGo(cmd.words[1:], cmd.dir)
	case program == "grpcurl":
		return checkGrpcurl(cmd.words[1:])
	case strings.Contains(program, "/"):
		if !c.tree.has(join(cmd.dir, program)) && !isPlaceholder(program) {
			return fmt.Errorf("there is no program %s", program)
		}
	case !slices.Contains(runnable, program) && !isElision(program):
		return fmt.Errorf("unknown program %s: mark the block skip REASON, or list it in deploy/checkdocs/commands.go if it changes nothing outside the repository", program)
	}
	return c.checkFiles(cmd)
}

// unknown matches the errors of our programs about flags and commands that they do not have.
var unknown = regexp.MustCompile(`\w+: (?:unknown flag|unknown command|unexpected argument) ([^:;\s]+).*`)

// checkProgram checks the commands and flags of one of our programs: with --help, the program only
// parses its arguments. Another program's command line may follow --.
func (c *checker) checkProgram(words []string) error {
	args := words[1:]
	if i := slices.Index(words, "--"); i >= 0 {
		args = words[1:i]
		if other := words[i+1:]; len(other) > 0 && isOurs(other[0]) {
			if err := c.checkProgram(other); err != nil {
				return err
			}
		}
	}
	out, err := exec.Command(filepath.Join(c.tree.root, "bin", path.Base(words[0])), append([]string{"--help"}, args...)...).CombinedOutput()
	if m := unknown.FindStringSubmatch(string(out)); err != nil && m != nil && !isElision(m[1]) && !isPlaceholder(m[1]) {
		return errors.New(m[0])
	}
	return nil
}

// isElision reports whether a word stands for other words.
func isElision(word string) bool { return word == "..." || strings.HasPrefix(word, "$") }

// checkFiles checks that the files among the arguments of a command exist.
func (c *checker) checkFiles(cmd command) error {
	for i, word := range cmd.words[1:] {
		if flag, value, ok := strings.Cut(word, "="); ok {
			if slices.Contains(outputs, flag) {
				continue
			}
			word = value
		}
		name := join(cmd.dir, word)
		if slices.Contains(outputs, cmd.words[i]) || !plainPath.MatchString(word) || isPlaceholder(word) {
			continue
		}
		if c.tree.within(name) && !c.tree.has(name) {
			return fmt.Errorf("%s does not exist", name)
		}
	}
	return nil
}

// isOurs reports whether a program is one of the repository.
func isOurs(program string) bool {
	name := path.Base(program)
	return slices.Contains(programs, name) && (name == program || path.Base(path.Dir(program)) == "bin")
}

// join returns the path of name, which is relative to dir.
func join(dir, name string) string {
	if strings.HasPrefix(name, "/") || strings.HasPrefix(name, "$") {
		return name
	}
	return path.Join(dir, name)
}

var makeTarget = regexp.MustCompile(`(?m)^([A-Za-z][\w-]*(?: [A-Za-z][\w-]*)*):(?:[^=]|$)`)

func (c *checker) checkMake(args []string, dir string) error {
	if len(args) > 1 && args[0] == "-C" {
		dir, args = join(dir, args[1]), args[2:]
	}
	text, err := c.tree.read(join(dir, "Makefile"))
	if err != nil {
		return fmt.Errorf("make: %v", err)
	}
	targets := map[string]bool{}
	for _, m := range makeTarget.FindAllStringSubmatch(text, -1) {
		for _, target := range strings.Fields(m[1]) {
			targets[target] = true
		}
	}
	for _, arg := range args {
		variable, _, assigns := strings.Cut(arg, "=")
		switch {
		case strings.HasPrefix(arg, "-") || isElision(arg):
		case assigns:
			if !strings.Contains(text, "$("+variable+")") {
				return fmt.Errorf("make: no variable %s is used in the Makefile", variable)
			}
		case !targets[arg]:
			return fmt.Errorf("make has no target %s; see make help", arg)
		}
	}
	return nil
}

// checkGo checks the packages of a go command, and that -run, -bench and -fuzz choose a test.
func (c *checker) checkGo(args []string, dir string) error {
	if len(args) > 2 && args[1] == "-C" {
		dir, args = join(dir, args[2]), slices.Concat(args[:1], args[3:])
	}
	if len(args) == 0 || !slices.Contains([]string{"run", "test", "doc", "build", "vet", "install", "get", "list", "env", "version", "tool", "mod", "generate"}, args[0]) {
		return fmt.Errorf("go %s: want a command such as go test", strings.Join(args, " "))
	}
	var folders []string
	patterns := map[string]string{}
	for i := 1; i < len(args); i++ {
		name, pattern, hasValue := strings.Cut(args[i], "=")
		switch {
		case slices.Contains([]string{"-run", "-bench", "-fuzz"}, name):
			if !hasValue && i+1 < len(args) {
				i++
				pattern = args[i]
			}
			patterns[name] = pattern
		case args[i] == "-args" || args[i] == "--" || args[0] == "run" && len(folders) > 0:
			i = len(args)
		default:
			folder, ok := c.folder(args[i], dir)
			if !ok {
				continue
			}
			if !c.tree.has(folder) {
				return fmt.Errorf("go %s: there is no package %s", args[0], args[i])
			}
			folders = append(folders, folder)
		}
	}
	for flag, pattern := range patterns {
		if err := c.checkTests(flag, pattern, folders); err != nil {
			return err
		}
	}
	return nil
}

// folder returns the folder of a package; not ok if the word is no package of the repository.
func (c *checker) folder(word, dir string) (folder string, ok bool) {
	word = strings.TrimSuffix(strings.TrimSuffix(word, "..."), "/")
	if below, ours := strings.CutPrefix(word+"/", c.module+"/"); ours && c.module != "" {
		below = strings.TrimSuffix(below, "/")
		if base, _, symbol := strings.Cut(path.Base(below), "."); symbol { // go doc PACKAGE.Symbol
			below = path.Join(path.Dir(below), base)
		}
		return path.Clean(below), true
	}
	if word == "." || word == ".." || strings.HasPrefix(word, "./") || strings.HasPrefix(word, "../") {
		return path.Clean(join(dir, word)), true
	}
	return "", false
}

// checkTests checks that a pattern chooses a test, benchmark or example below the folders.
func (c *checker) checkTests(flag, pattern string, folders []string) error {
	pattern, _, _ = strings.Cut(pattern, "/")
	re, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("go test %s: %v", flag, err)
	}
	if pattern == "^$" || pattern == "" {
		return nil
	}
	for _, file := range c.tree.files {
		inside := slices.ContainsFunc(folders, func(f string) bool { return f == "." || strings.HasPrefix(file, f+"/") })
		if !strings.HasSuffix(file, "_test.go") || !inside {
			continue
		}
		if slices.ContainsFunc(c.testsOf(file), re.MatchString) {
			return nil
		}
	}
	return fmt.Errorf("go test %s %s chooses no test in %s", flag, pattern, strings.Join(folders, " "))
}

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)`)

// testsOf returns the names of the tests, benchmarks and examples in a file.
func (c *checker) testsOf(file string) []string {
	if _, known := c.tests[file]; !known {
		c.tests[file] = nil
		text, _ := c.tree.read(file) // a file that cannot be read has no tests
		for _, m := range testFunc.FindAllStringSubmatch(text, -1) {
			c.tests[file] = append(c.tests[file], m[1])
		}
	}
	return c.tests[file]
}

// alternatives are what follows the first of several choices, as in --format html|md.
var alternatives = regexp.MustCompile(`(\w)(?:\|\w+)+`)

// checkSpans checks the commands in spans of code.
func (c *checker) checkSpans(d *document) {
	for _, s := range d.spans {
		program, _, hasArgs := strings.Cut(s.text, " ")
		if !hasArgs || !isOurs(program) && program != "make" && program != "go" {
			continue
		}
		all, err := commands(alternatives.ReplaceAllString(s.text, "$1"))
		if err != nil {
			continue // such as: crashlab load <flags>
		}
		for _, cmd := range all {
			c.counts.read++
			if err := c.checkCommand(cmd); err != nil {
				c.find(d, d.line(s.start), "%v", err)
			}
		}
	}
}
