package lab

import (
	"context"
	"errors"
)

func (f *Fabric) startJunos(ctx context.Context, n Node) error { return errors.New("not built yet") }

func RunJunos(ctx context.Context, path string) error { return errors.New("not built yet") }
