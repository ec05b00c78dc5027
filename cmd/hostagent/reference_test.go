package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"lastmile/cmd/internal/daemon"
	"lastmile/hostagent"
)

const reference = "../../docs/hostagent.yaml"

// keys calls found for each key of a configuration's type, and of the lists and parts in it.
func keys(of reflect.Type, found func(string)) {
	switch of.Kind() {
	case reflect.Slice, reflect.Pointer:
		keys(of.Elem(), found)
	case reflect.Struct:
		for i := range of.NumField() {
			if key := of.Field(i).Tag.Get("yaml"); key != "" {
				found(key)
				keys(of.Field(i).Type, found)
			}
		}
	}
}

// TestReferenceNamesEveryKey: as a key, or in the comment that explains those of a list.
func TestReferenceNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	keys(reflect.TypeFor[hostagent.Config](), func(key string) {
		if count++; !regexp.MustCompile(`(?m)^(# |  )?` + key + `:|^#   ` + key + ` `).Match(text) {
			t.Errorf("%s does not explain %s", reference, key)
		}
	})
	if count < 40 {
		t.Errorf("only %d keys are found", count)
	}
}

// TestExamplesAreGood takes the comment signs off the examples of lists.
func TestExamplesAreGood(t *testing.T) {
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"sessions", "bfd"} {
		_, example, _ := strings.Cut(string(text), "\n# "+list+":\n")
		example, _, _ = strings.Cut(example, "\n\n")
		config := filepath.Join(t.TempDir(), list+".yaml")
		example = "as: 64512\nuplinks: [eth*]\n" + list + ":\n" + strings.ReplaceAll("\n"+example, "\n#", "\n") + "\n"
		if err := os.WriteFile(config, []byte(example), 0o600); err != nil {
			t.Fatal(err)
		}
		got := hostagent.DefaultConfig()
		if err := daemon.Load(config, &got); err != nil {
			t.Error(err)
		}
		if entries := reflect.ValueOf(got); entries.FieldByName(map[string]string{"sessions": "Sessions", "bfd": "BFD"}[list]).Len() != 2 {
			t.Errorf("%s: %+v", list, got)
		}
	}
}
