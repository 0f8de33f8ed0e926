package ctl

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor/parse"
)

// The types of flags and arguments.
type (
	signalName  supervisorv1.Signal
	restartMode supervisorv1.Restart
	escalation  supervisorv1.Escalation
	count       uint32
	sequence    uint64
	number      float64
	duration    time.Duration
	output      string
)

func (s *signalName) UnmarshalText(text []byte) error {
	name := strings.TrimPrefix(strings.ToLower(string(text)), "sig")
	if name == "continue" {
		name = "cont"
	}
	n := enumNumber(supervisorv1.Signal_value, "SIGNAL_", name)
	if n == 0 {
		return fmt.Errorf("%q: want %s", text, enumNames(supervisorv1.Signal_name, "SIGNAL_"))
	}
	*s = signalName(n)
	return nil
}

func (r *restartMode) UnmarshalText(text []byte) error {
	n := enumNumber(supervisorv1.Restart_value, "RESTART_", string(text))
	if n == 0 {
		return fmt.Errorf("%q: want %s", text, enumNames(supervisorv1.Restart_name, "RESTART_"))
	}
	*r = restartMode(n)
	return nil
}

func (t *escalation) UnmarshalText(text []byte) error {
	n := enumNumber(supervisorv1.Escalation_value, "ESCALATION_", string(text))
	if n == 0 {
		return fmt.Errorf("%q: want %s", text, enumNames(supervisorv1.Escalation_name, "ESCALATION_"))
	}
	*t = escalation(n)
	return nil
}

func (o *output) UnmarshalText(text []byte) error {
	if string(text) != "text" && string(text) != "json" {
		return fmt.Errorf("%q: want text or json", text)
	}
	*o = output(text)
	return nil
}

func (o output) json() bool { return o == "json" }

func (d *duration) UnmarshalText(text []byte) error {
	v, err := parse.Duration(string(text))
	*d = duration(v)
	return err
}

func (n *count) UnmarshalText(text []byte) error {
	v, err := parse.Whole(string(text), 0, math.MaxInt32)
	*n = count(v)
	return err
}

func (n *sequence) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("%q: want the number of an event, 0 or more", text)
	}
	*n = sequence(v)
	return nil
}

func (n *number) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return fmt.Errorf("%q: want a number, such as 1.5", text)
	}
	*n = number(v)
	return nil
}

// enumText returns the name of an enum's value as users write it.
func enumText(enum fmt.Stringer, prefix string) string { return textOf(enum.String(), prefix) }

func textOf(name, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", "-")
}

// enumNumber returns an enum's value by the name that users write; zero if there is none.
func enumNumber(values map[string]int32, prefix, word string) int32 {
	return values[prefix+strings.ToUpper(strings.ReplaceAll(word, "-", "_"))]
}

// enumNames lists the names of an enum's values, without the first, the unspecified one.
func enumNames(names map[int32]string, prefix string) string {
	var words []string
	for _, n := range slices.Sorted(maps.Keys(names))[1:] {
		words = append(words, textOf(names[n], prefix))
	}
	return parse.Or(words)
}

// spanText formats a duration; the longer it is, the coarser.
func spanText(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}
