#error "<threads.h> is out of reach of actors: only a driver may call the operating system"
