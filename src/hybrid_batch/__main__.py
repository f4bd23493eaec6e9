"""python -m hybrid_batch"""

from hybrid_batch.cli import main

if __name__ == "__main__":
    main()
