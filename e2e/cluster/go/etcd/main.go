// etcd's server. Its own module cannot be installed by name (it has replace directives), so this program calls its main.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
