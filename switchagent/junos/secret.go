package junos

import (
	"fmt"
	"io"
	"strings"
)

// Secret is a key that is written into configurations and shown nowhere else: however it is printed,
// it is a few asterisks.
type Secret struct {
	key    string
	hidden bool // there is one, and this user may not see it
}

// maxSecret is the longest key of a TCP MD5 session that Linux, at the other end, takes
// (TCP_MD5SIG_MAXKEYLEN). Junos takes 126.
const maxSecret = 80

// NewSecret is the key in a file's text, without the line feed that editors put there.
func NewSecret(text string) (Secret, error) {
	key := strings.TrimRight(text, "\r\n")
	switch {
	case key == "":
		return Secret{}, fmt.Errorf("the key is empty; 1 to %d characters are wanted", maxSecret)
	case len(key) > maxSecret:
		return Secret{}, fmt.Errorf("the key has %d characters; 1 to %d are wanted", len(key), maxSecret)
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'\&<>;{}#`, r) }):
		return Secret{}, fmt.Errorf(`the key has characters that are not wanted: printable ASCII without blanks, quotation marks and \ & < > ; { } # is`)
	}
	return Secret{key: key}, nil
}

// readSecret is the key as the switch shows it: encoded, or to users without the permission "secret"
// not at all.
func readSecret(shown string) Secret {
	if key, ok := decodeSecret(shown); ok {
		return Secret{key: key}
	}
	return Secret{hidden: true}
}

// Set says whether there is a key.
func (s Secret) Set() bool { return s != Secret{} }

// same is true too if one of both may not be seen.
func (s Secret) same(other Secret) bool {
	return s == other || s.Set() && other.Set() && (s.hidden || other.hidden)
}

// Format makes every verb of fmt print asterisks.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// String is not the key.
func (s Secret) String() string {
	if !s.Set() {
		return ""
	}
	return "***"
}

// MarshalText is not the key.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// The alphabet of "$9$" in its four families, and how many bits each character of a group carries.
// It hides keys from passers-by and is no encryption.
var (
	secretFamilies = []string{"QzF3n6/9CAtpu0O", "B1IREhcSyrleKvMW8LXx", "7N-dVbwsY2g4oaJZGUDj", "iHkq.mPf5T"}
	secretAlphabet = strings.Join(secretFamilies, "")
	secretWeights  = [][]int{{1, 4, 32}, {1, 16, 32}, {1, 8, 32}, {1, 64}, {1, 32}, {1, 4, 16, 128}, {1, 32, 64}}
)

// decodeSecret reads a key as configurations show it: "$9$..." or, as other tools write it, plain.
func decodeSecret(shown string) (string, bool) {
	code, encoded := strings.CutPrefix(shown, "$9$")
	if !encoded {
		return shown, shown != "" && !strings.HasPrefix(shown, "$") && !strings.Contains(shown, "SECRET-DATA")
	}
	if code == "" || strings.ContainsFunc(code, func(r rune) bool { return !strings.ContainsRune(secretAlphabet, r) }) {
		return "", false
	}
	salt := 0
	for i, family := range secretFamilies {
		if strings.IndexByte(family, code[0]) >= 0 {
			salt = 3 - i
		}
	}
	if len(code) < 1+salt {
		return "", false
	}
	before, code := code[0], code[1+salt:]
	var key []byte
	for code != "" {
		weights := secretWeights[len(key)%len(secretWeights)]
		if len(code) < len(weights) {
			return "", false
		}
		sum := 0
		for i, weight := range weights {
			n := len(secretAlphabet)
			gap := (strings.IndexByte(secretAlphabet, code[i])-strings.IndexByte(secretAlphabet, before)+n)%n - 1
			sum += gap * weight
			before = code[i]
		}
		key = append(key, byte(sum))
		code = code[len(weights):]
	}
	return string(key), len(key) > 0
}
