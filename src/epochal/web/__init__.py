"""What a page served on this machine needs: a server, words in both languages."""
