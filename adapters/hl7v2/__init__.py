"""The grammar of HL7 v2: frames on a wire, segments and fields in a message, acknowledgements back."""
