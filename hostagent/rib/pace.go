package rib

// pace calls heed now and then in the midst of what takes as long as the table is large.
type pace struct {
	heed  func() // see Config; may be nil
	steps int    // since it was called last
}

// stepsToHeed is how many prefixes or sets are gone through, at some 20 to 500 ns each, before heed is called.
const stepsToHeed = 1024

func (p *pace) step() {
	if p.steps++; p.steps >= stepsToHeed {
		p.call()
	}
}

func (p *pace) call() {
	p.steps = 0
	if p.heed != nil {
		p.heed()
	}
}
