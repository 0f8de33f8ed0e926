package inputfile_test

import (
	"fmt"

	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/parse"
)

// workers is a number from 1 to 100.
type workers int

func (w *workers) UnmarshalText(text []byte) (err error) {
	*(*int)(w), err = parse.Whole(string(text), 1, 100)
	return err
}

// A mistake is reported with its place and an excerpt.
func Example() {
	document, err := inputfile.Parse("service.yaml", []byte("# My service.\nworkers: many\n"))
	if err != nil {
		fmt.Println(inputfile.Text(err))
		return
	}
	var settings struct {
		Workers workers `yaml:"workers"`
	}
	if err := document.Decode(&settings, nil); err != nil {
		fmt.Println(inputfile.Text(err))
	}
	// Output:
	// service.yaml:2:10: workers: "many": want a whole number from 1 to 100
	//    1 | # My service.
	// >  2 | workers: many
	//                 ^
}
