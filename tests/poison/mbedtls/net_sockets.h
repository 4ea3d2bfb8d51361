#error "<mbedtls/net_sockets.h> is out of reach of actors: adapters own TLS and keys"
