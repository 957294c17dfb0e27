"""What a kernel developer has (C files, patches, mails, source trees), and the functions in it."""
