#error "<libpq-fe.h> is out of reach of actors: go through the store port"
