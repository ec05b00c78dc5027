package cli_test

import (
	"testing"
	"time"
)

// TestConfigureBorrowsItsLines: what stands behind them in the caller's array stays.
func TestConfigureBorrowsItsLines(t *testing.T) {
	all := []string{wanted, "set system domain-name of.the.caller"}
	shell := dial(t, (&junos{answers: map[string]func(*terminal){"configure private": say("error: permission denied\n")}}).script)
	if _, err := shell.Configure(bounded(t, 30*time.Second), all[:1], "test"); err == nil {
		t.Error("no error")
	}
	if all[1] != "set system domain-name of.the.caller" {
		t.Errorf("the caller's second line is %q now", all[1])
	}
}
