package junos

import "strings"

// interfaceNames maps Junos names of interfaces to kernel names: physical ones
// ("ge-0/0/1"), whose unit 0 is the kernel's interface, and single logical ones
// ("irb.2").
type interfaceNames map[string]string

// withLoopback adds lo0, which every device has.
func withLoopback(m map[string]string) interfaceNames {
	names := interfaceNames{"lo0": "lo"}
	for junos, kernel := range m {
		names[junos] = kernel
	}
	return names
}

// kernel is the kernel's name of a logical interface.
func (m interfaceNames) kernel(logical string) (string, bool) {
	if kernel, known := m[logical]; known && strings.Contains(logical, ".") {
		return kernel, true
	}
	physical, isUnit0 := strings.CutSuffix(logical, ".0")
	kernel, known := m[physical]
	return kernel, known && isUnit0
}

// logical is the logical interface that a kernel interface is.
func (m interfaceNames) logical(kernel string) (string, bool) {
	for junos, k := range m {
		if k != kernel {
			continue
		}
		if strings.Contains(junos, ".") {
			return junos, true
		}
		return junos + ".0", true
	}
	return "", false
}

// physical is the part of a logical name before its unit.
func physical(logical string) string {
	name, _, _ := strings.Cut(logical, ".")
	return name
}
