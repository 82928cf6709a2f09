"""What leaves the program: field files for ParaView, checkpoints, figures. Plot libraries load where they are used."""
