"""What happens when the process dies at a bad moment. Written by the lead; extend it rather than begin anew."""
