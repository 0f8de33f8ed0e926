package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// programs are ours, in bin.
var programs = []string{"counterd", "crashlab", "supervisor"}

// help is what a program prints with --help.
type help struct {
	usage string          // the first line, from the program's name on
	flags map[string]bool // by name, with their dashes → whether a value follows
}

var (
	helpFlag    = regexp.MustCompile(`^ {2,6}(?:(-\w), )?--(\[no-\])?([a-z0-9][a-z0-9-]*)(\[?=)?`)
	commandName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
)

// help returns the help page of a program's command; nil if there is no such command.
func (c *checker) help(program string, path []string) (*help, error) {
	name := strings.Join(append([]string{program}, path...), " ")
	if page, ok := c.pages[name]; ok {
		return page, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(c.tree.root, "bin", program), append(path, "--help")...)
	out, err := cmd.Output()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		return nil, fmt.Errorf("%v: run make first", err)
	}
	page := parseHelp(string(out))
	if page.usage != name && !strings.HasPrefix(page.usage, name+" ") {
		page = nil
	}
	c.pages[name] = page
	return page, nil
}

func parseHelp(text string) *help {
	h := &help{flags: map[string]bool{}}
	section := ""
	for i, line := range strings.Split(text, "\n") {
		if i == 0 {
			h.usage = strings.TrimPrefix(line, "Usage: ")
		}
		if line != "" && line[0] != ' ' {
			section = line
		}
		m := helpFlag.FindStringSubmatch(line)
		if m == nil || section == "Arguments:" {
			continue
		}
		h.flags["--"+m[3]] = m[4] == "="
		if m[1] != "" {
			h.flags[m[1]] = m[4] == "="
		}
		if m[2] != "" {
			h.flags["--no-"+m[3]] = false
		}
	}
	return h
}

var errNoValue = errors.New("has no value")

// outputs are flags whose values are written.
var outputs = []string{"-o", "--output", "--save", "--runs", "--events", "--log-dir", "--state-dir"}

// checkProgram checks the arguments of a program of ours, without running it, and returns those
// that may be files that it reads: values of flags, and what is no flag.
func (c *checker) checkProgram(words []string) (operands []string, err error) {
	program, args := filepath.Base(words[0]), words[1:]
	var path []string
	page, err := c.help(program, nil)
	if err == nil && page == nil {
		err = fmt.Errorf("%s --help prints no help", program)
	}
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return operands, nil
		case len(arg) > 1 && arg[0] == '-':
			takesValue, err := page.flag(program, path, arg)
			if err != nil {
				return nil, err
			}
			name, value, _ := strings.Cut(arg, "=")
			if takesValue {
				if i++; i >= len(args) {
					return nil, fmt.Errorf("%s %w", arg, errNoValue)
				}
				value = args[i]
			}
			if !slices.Contains(outputs, name) {
				operands = append(operands, value)
			}
		default:
			below, err := c.below(program, path, page, arg)
			if err != nil {
				return nil, err
			}
			if below != nil {
				page, path = below, append(path, arg)
				continue
			}
			if !strings.Contains(page.usage, "<") && !isElision(arg) {
				return nil, fmt.Errorf("%s takes no argument %s", strings.Join(append([]string{program}, path...), " "), arg)
			}
			operands = append(operands, arg)
		}
	}
	return operands, nil
}

// isElision reports whether a word stands for others.
func isElision(word string) bool { return word == "..." || strings.HasPrefix(word, "$") }

// below returns the help of a command's command; nil if it has none of that name.
func (c *checker) below(program string, path []string, page *help, name string) (*help, error) {
	if !commandName.MatchString(name) || strings.Contains(page.usage, "<") && !strings.Contains(page.usage, "<command>") {
		return nil, nil
	}
	below, err := c.help(program, append(path[:len(path):len(path)], name))
	if err == nil && below == nil {
		err = fmt.Errorf("%s has no command %s", strings.Join(append([]string{program}, path...), " "), name)
	}
	return below, err
}

// flag reports whether the value of a flag is the next word.
func (h *help) flag(program string, path []string, arg string) (takesValue bool, err error) {
	name, _, hasValue := strings.Cut(arg, "=")
	takesValue, ok := h.flags[name]
	if !ok && !strings.HasPrefix(arg, "--") && len(arg) > 2 { // -n50, -qn 50
		for i, letter := range arg[1:] {
			takesValue, ok = h.flags["-"+string(letter)]
			if !ok {
				break
			}
			if takesValue {
				return i+2 == len(arg), nil
			}
		}
	}
	if !ok {
		return false, fmt.Errorf("%s has no flag %s", strings.Join(append([]string{program}, path...), " "), name)
	}
	return takesValue && !hasValue, nil
}
