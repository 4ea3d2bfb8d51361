#error "<mbedtls/x509.h> is out of reach of actors: adapters own TLS and keys"
