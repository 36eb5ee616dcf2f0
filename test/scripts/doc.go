// Package scripts tests both programs as an operator meets them: commands typed, exit
// codes, what stands on standard output and standard error, files that appear. Each
// script in testdata is a text archive (go doc
// github.com/rogpeppe/go-internal/testscript) with these commands of its own:
//
//	status CODE PROGRAM [ARG...]  run a program; it must end with exactly this code
//	source                        start a server of images, RPMs and files; write
//	                              demo.lock.yaml, which pins them; set $SOURCE (host:port
//	                              of the registry), $FILES (URL of the files), $LAYER (a
//	                              layer that two images share) and $BUNDLER_PLAIN_HTTP
//	hold, release                 keep back the bodies that the source sends, and let them go
//	signkey FILE PASSPHRASE       write an armored private key that has this passphrase, and
//	                              the public one, FILE.pub
//	httpfiles NAME DIR            serve a directory, set $NAME to its URL
//	registry NAME [login]         start a registry (CNCF Distribution), set $NAME to its
//	                              host:port; with login it wants $USER and $PASSWORD
//	nexus NAME PROFILE [empty]    start a Nexus double, set $NAME to its URL; it wants
//	                              $USER and $PASSWORD, and has the repositories that the
//	                              flags name by default, or none
//	served NAME OP N REGEXP       requests that a server saw, as lines "METHOD PATH STATUS
//	                              [authorized]", that match; OP is ==, <= or >=
//	forget NAME                   empty a server's list of requests
//	corrupt NAME REPO PATH OFFSET invert a byte that a Nexus double stores
//	delete NAME REPO PATH         delete an asset of a Nexus double
//	asset NAME REPO PATH FILE     write what a Nexus double has at a path to a file
//	store NAME REPO PATH FILE     the other way: somebody else's upload
//	repository NAME REPO FORMAT   make a hosted repository at a Nexus double
//	fetch URL FILE                download like curl --fail; waits for a server that starts
//	layout FILE                   write an image as a plain OCI layout tar
//	yumrepo DIR [PACKAGE...]      write a yum repository for each arch, DIR/x86_64 and
//	                              DIR/aarch64, and the public key of its packages, DIR/KEY;
//	                              a package is NAME=VERSION[:REQUIRED,...] and ends in "!" when
//	                              it is not signed, in "~" when it has other bytes than usual
//	damage FILE OFFSET|DIGEST     invert one byte of a file, or the first of a blob in a tar
//	cut FILE SIZE                 truncate a file
//	replace FILE OLD NEW          replace a text that must be there, everywhere
//	size VAR FILE                 set $VAR to the size of a file
//	capture VAR REGEXP            set $VAR to the first group found in the last standard output
//	port VAR                      set $VAR to a port that nobody listens on
//	await FILE                    wait until a file exists
//
// The condition [smalldisk] says whether a file system of 64 KiB can be mounted.
package scripts
