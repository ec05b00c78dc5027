package junos

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestSecretIsNeverShown prints a stanza with a key in every way that code here prints things.
func TestSecretIsNeverShown(t *testing.T) {
	const key = "Hush-4711"
	secret, err := NewSecret(key + "\n")
	if err != nil {
		t.Fatal(err)
	}
	s := Stanza{Group: "servers", Peer: addr("fe80::1%ge-0/0/1.0"), Secret: secret}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{string(text), fmt.Sprint(s), fmt.Sprintf("%+v %#v %s %q %x", s, s, secret, secret, secret)}
	for _, c := range (Change{Add: []Stanza{s}}).Commands() {
		shown = append(shown, c.String())
	}
	for _, text := range shown {
		if strings.Contains(text, key) || strings.Contains(text, fmt.Sprintf("%x", key)) {
			t.Errorf("the key is in %s", text)
		}
	}
	load, err := Change{Add: []Stanza{s}}.load(LoadMerge, false)
	if err != nil || !strings.Contains(load, "<authentication-key>"+key+"</authentication-key>") {
		t.Errorf("the key is not loaded: %s (%v)", strings.ReplaceAll(load, key, "KEY"), err)
	}
}

func TestSecrets(t *testing.T) {
	for _, bad := range []string{"", "\n", strings.Repeat("x", 81), "a b", `a"b`, "a\x00b", "ä", "a;b"} {
		if s, err := NewSecret(bad); err == nil || s.Set() {
			t.Errorf("%q is taken for a key", bad)
		} else if bad != "" && bad != "\n" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	for shown, want := range map[string]string{
		"$9$LbHX-wg4Z": "lc", // the example of the Perl module Crypt::Juniper
		"plain":        "plain",
	} {
		if got := readSecret(shown); got != (Secret{key: want}) {
			t.Errorf("%q is read as %q, want %q", shown, got.key, want)
		}
	}
	one := Secret{key: "one"}
	for _, hidden := range []string{"/* SECRET-DATA */", "## SECRET-DATA", "$8$aes256-gcm$x", "$9$", "$9$L", "$9$ä", "$9$LbHX-wg4Zx"} {
		if got := readSecret(hidden); !got.hidden || !got.same(one) || got.same(Secret{}) {
			t.Errorf("%q is read as %+v", hidden, got.key)
		}
	}
	if one.same(Secret{key: "two"}) || one.same(Secret{}) || !one.same(one) {
		t.Error("keys that differ are the same")
	}
}

func FuzzDecodeSecret(f *testing.F) {
	f.Add("$9$LbHX-wg4Z")
	f.Fuzz(func(t *testing.T, shown string) { readSecret(shown) })
}
