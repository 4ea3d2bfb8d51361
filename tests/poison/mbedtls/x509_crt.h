#error "<mbedtls/x509_crt.h> is out of reach of actors: adapters own TLS and keys"
