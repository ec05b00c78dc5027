package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStartWithoutTheKeyOfAPort: check names the file, and run begins all the same: the other ports have nothing to do with it.
func TestStartWithoutTheKeyOfAPort(t *testing.T) {
	config := files(t, goodKey(t), 0o600)
	table := filepath.Join(filepath.Dir(config), "inventory.csv")
	text, err := os.ReadFile(config)
	if err := errors.Join(err,
		os.WriteFile(table, []byte("port,server,as,key_file\nge-0/0/1.0,bms1,64512,/nowhere\nge-0/0/2.0,bms2,64513,\n"), 0o600),
		os.WriteFile(config, append(text, "inventory: "+table+"\n"...), 0o600)); err != nil {
		t.Fatal(err)
	}
	command := func(name string) error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // run has done all that is of interest before it looks
		cmd := rootCommand()
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		cmd.SetArgs([]string{name, "--config", config})
		return cmd.ExecuteContext(ctx)
	}
	if err := command("check"); err == nil || !strings.Contains(err.Error(), "inventory.csv:2: key_file of port ge-0/0/1.0: open /nowhere") {
		t.Errorf("check: %v", err)
	}
	if err := command("run"); err != nil {
		t.Errorf("run: %v", err)
	}
	if err := os.WriteFile(table, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := command("run"); err == nil {
		t.Error("run begins without an inventory that can be read")
	}
}
